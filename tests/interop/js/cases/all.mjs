import "./publish.mjs";
import "./consume.mjs";
import "./ownership.mjs";
import "./errors.mjs";
import "./types.mjs";
