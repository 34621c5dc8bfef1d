// node emulator-node.cjs: the emulator through `require`, the clients through `import`: two copies that meet.
const { Emulator } = require("eventhubs/emulator");

(async () => {
  const emulator = await Emulator.start({ hubs: { here: 1 } });
  const { roundtrip } = await import("./roundtrip.mjs");
  console.log(JSON.stringify(await roundtrip(await import("eventhubs"), emulator.connectionString, "here")));
  await emulator.stop();
})();
