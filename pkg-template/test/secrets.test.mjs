// No key, signature or token is seen in errors, in what `util.inspect` and JSON show of clients, or on the console.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { start } from "./facade-support.mjs";
import { dist } from "./support.mjs";

const { ConsumerClient, ProducerClient, parseConnectionString } = await dist("index.js");

/** Made up, and nowhere else in this repository. */
const KEY = "kT9+vQ2/mZ7xW4pL8sN1bR6cD3fG5hJ0aYuE2oIqXw0=";
const OWN_KEY = "oW2nKeY4uQ7rT9yU1iO3pA5sD8fG0hJ6kL+zXcVbNm/=";
const TOKEN = "Zq8Wn3vT6xB1mK9pS4dF7gH2jL5cR0aYeU.not.a-token";
const PART = 12;

/** Every part of a secret, in every form. */
function parts(secret) {
  const forms = [secret, encodeURIComponent(secret), encodeURIComponent(secret).toLowerCase()];
  for (const skipped of [0, 1, 2]) forms.push(Buffer.from(secret).subarray(skipped).toString("base64").slice(0, -4));
  forms.push(Buffer.from(secret).toString("hex"));
  return new Set(forms.flatMap((form) => Array.from({ length: form.length - PART }, (_, at) => form.slice(at, at + PART))));
}

test("nothing that can be seen of clients holds a secret", async (t) => {
  const seen = [];
  for (const name of ["log", "info", "warn", "error", "debug"]) {
    t.mock.method(console, name, (...given) => void seen.push(["the console", inspect(given, { depth: 8 })]));
  }
  const see = (place, value) => {
    seen.push([place, inspect(value, { depth: 12, showHidden: true, getters: true })]);
    let json;
    try {
      json = JSON.stringify(value);
    } catch {
      // Circles have no JSON.
    }
    seen.push([place, `${json} ${value instanceof Error ? `${value}\n${value.stack}\n${inspect(value.cause, { depth: 8 })}` : ""}`]);
  };
  const failing = async (place, work) => {
    try {
      see(`${place}, which works`, await work());
    } catch (error) {
      see(`the error of ${place}`, error);
    }
  };
  const { emulator } = await start(t, { keys: { app: { key: OWN_KEY } } });
  const port = "Endpoint=sb://localhost;SharedAccessKeyName=app";
  const whole = `${port};SharedAccessKey=${KEY};EntityPath=eh1`;
  const options = { webSocket: emulator.WebSocket, endpoint: emulator.connectionString.match(/sb:\/\/([^;/]*)/)[1], retry: { maxAttempts: 1 } };
  for (const wrong of [
    whole.replace("SharedAccessKey=", "SharedAccessKey"),
    whole.replace(";SharedAccessKey=", ""),
    whole.replace("sb://", "http://"),
    whole.replace("localhost", KEY),
    whole.replaceAll(";", ""),
    `${port.split(";")[0]};SharedAccessSignature=${TOKEN};EntityPath=eh1`,
    KEY,
  ]) {
    await failing("a wrong connection string", () => new ProducerClient(wrong));
    await failing("a wrong connection string, taken apart", () => void parseConnectionString(wrong));
  }
  await failing("a custom endpoint", () => new ProducerClient(whole, { endpoint: `ws://user:${KEY}@localhost:x` }));
  for (const [place, make] of [
    ["a key that is refused", (Client) => new Client(whole, options)],
    ["a provider of garbage", (Client) => new Client({ namespace: "localhost", eventHub: "eh1", tokenProvider: () => TOKEN, ...options })],
    ["a signature that is none", (Client) => new Client({ namespace: "localhost", eventHub: "eh1", credential: { signature: TOKEN }, ...options })],
    ["a key that is right", (Client) => new Client(whole.replace(KEY, OWN_KEY), options)],
    ["a named key", (Client) => new Client({ namespace: "localhost", eventHub: "eh1", credential: { name: "app", key: KEY }, ...options })],
  ]) {
    for (const Client of [ProducerClient, ConsumerClient]) {
      await failing(place, async () => {
        const client = make(Client);
        see(`the client of ${place}`, client);
        try {
          await client.hubProperties();
        } finally {
          see(`the used client of ${place}`, client);
          if (client.health) see(`the health of ${place}`, client.health());
          await client.close();
        }
      });
    }
  }
  assert.ok(seen.length > 40, `${seen.length} texts`);
  for (const [name, secret] of Object.entries({ KEY, OWN_KEY, TOKEN })) {
    const needles = parts(secret);
    for (const [place, text] of seen) {
      for (let at = 0; at + PART <= text.length; at += 1) {
        assert.ok(!needles.has(text.slice(at, at + PART)), `${place} shows ${name}: …${text.slice(Math.max(0, at - 80), at + 40)}…`);
      }
    }
  }
});
