import assert from "node:assert/strict";
import { test } from "node:test";
import { readConnectionString, withoutSecret } from "../../src/model/connection-string.ts";
import { DEFAULTS, forgetSecret, keepSecret, loadSecret, loadSettings, saveSettings } from "../../src/model/settings.ts";

const WHOLE = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey=s3cret+/=;EntityPath=orders";

function storage(): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
    clear: () => kept.clear(),
    key: (at) => [...kept.keys()][at] ?? null,
    get length() {
      return kept.size;
    },
  };
}

test("a connection string is read for the eye", () => {
  assert.deepEqual(readConnectionString(WHOLE), {
    host: "ns.servicebus.windows.net",
    keyName: "root",
    eventHub: "orders",
    hasSecret: true,
    development: false,
  });
  const local = readConnectionString("Endpoint=sb://localhost:5672;UseDevelopmentEmulator=true;");
  assert.deepEqual([local?.host, local?.development, local?.hasSecret], ["localhost:5672", true, false]);
  for (const none of ["", "hello", "SharedAccessKey=x", "Endpoint="]) assert.equal(readConnectionString(none), undefined, none);
});

test("nothing that opens anything is left of it", () => {
  const left = withoutSecret(`${WHOLE};SharedAccessSignature=SharedAccessSignature sr=x&sig=s3cret;Password=s3cret`);
  assert.equal(left, "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=root;EntityPath=orders");
  assert.ok(!withoutSecret("sharedaccesskey=s3cret; SHAREDACCESSKEY =s3cret").includes("s3cret"));
});

test("settings come back, and what is no setting does no harm", () => {
  const kept = storage();
  assert.deepEqual(loadSettings(kept), DEFAULTS);
  saveSettings(kept, { ...DEFAULTS, theme: "dark", composer: { ...DEFAULTS.composer, batch: 7 } });
  assert.equal(loadSettings(kept).theme, "dark");
  assert.equal(loadSettings(kept).composer.batch, 7);
  const name = kept.key(0) ?? "";
  for (const broken of ["{", "null", "[]", '{"theme":5,"composer":null,"listLimit":"many","nonsense":1}']) {
    kept.setItem(name, broken);
    assert.deepEqual(loadSettings(kept), DEFAULTS, broken);
  }
  assert.deepEqual(loadSettings(undefined), DEFAULTS);
});

test("a key is kept when asked, and gone when not", () => {
  const kept = storage();
  assert.equal(loadSecret(kept), undefined);
  keepSecret(kept, WHOLE);
  assert.equal(loadSecret(kept), WHOLE);
  forgetSecret(kept);
  assert.equal(loadSecret(kept), undefined);
  assert.equal(kept.length, 0);
});

test("a browser that forbids storage is no reason to fail", () => {
  const forbidden = new Proxy({} as Storage, {
    get: () => {
      throw new Error("denied");
    },
  });
  assert.deepEqual(loadSettings(forbidden), DEFAULTS);
  saveSettings(forbidden, DEFAULTS);
  keepSecret(forbidden, WHOLE);
  assert.equal(loadSecret(forbidden), undefined);
});
