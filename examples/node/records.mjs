// The flight records of vega-datasets 1.31, keyed by the airport that each flight left from.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** `{ origin, body }` of each record: the body is its JSON text, the very bytes of the file. */
export async function readFlights(folder) {
  const json = await readFile(join(folder, "flights-200k.json"));
  const csv = await readFile(join(folder, "flights-3m.csv"), "utf8");
  const bodies = records(json);
  const [heading, ...rows] = csv.split(/\r?\n/).filter((row) => row !== "");
  const [origin, distance] = ["origin", "distance"].map((name) => columnOf(heading, name));
  if (bodies.length !== rows.length || bodies.length === 0) {
    throw new Error(`flights-200k.json has ${bodies.length} records, flights-3m.csv ${rows.length} rows`);
  }
  return bodies.map((body, index) => {
    const cells = rows[index].split(",");
    // The delays differ on purpose: the JSON file has none above three hours.
    if (JSON.parse(body.toString()).distance !== Number(cells[distance])) {
      throw new Error(`record ${index} of flights-200k.json is not the flight in row ${index + 2} of flights-3m.csv`);
    }
    return { origin: cells[origin], body };
  });
}

/** The objects of an array of flat objects, each a view of the file. */
function records(json) {
  const found = [];
  for (let start = json.indexOf("{"); start >= 0; ) {
    const end = json.indexOf("}", start) + 1;
    if (end === 0) throw new Error("flights-200k.json ends inside a record");
    found.push(json.subarray(start, end));
    start = json.indexOf("{", end);
  }
  return found;
}

function columnOf(heading, name) {
  const column = heading.split(",").indexOf(name);
  if (column < 0) throw new Error(`flights-3m.csv has no column '${name}'`);
  return column;
}
