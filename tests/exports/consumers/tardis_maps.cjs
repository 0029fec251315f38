// Maps frames as tardis-node does; prints, for each frame, the rows that its mappers make of it.
//
// node tardis_maps.cjs NODE_MODULES FRAMES.json     a list of [exchange, frame]
const fs = require('fs')
const path = require('path')
const tardis = require(path.join(path.resolve(process.argv[2]), 'tardis-dev'))

const at = new Date('2026-11-01T00:00:00Z') // mappers are chosen by the day
const kinds = [tardis.normalizeTrades, tardis.normalizeLiquidations, tardis.normalizeDerivativeTickers]
const made = {}
const mappers = (exchange) =>
  (made[exchange] ??= kinds.flatMap((kind) => {
    try {
      return [kind(exchange, at)]
    } catch {
      return [] // the exchange has no such events
    }
  }))
const time = (value) => (value === undefined ? null : value.valueOf())

const found = JSON.parse(fs.readFileSync(process.argv[3], 'utf8')).map(([exchange, frame]) =>
  mappers(exchange)
    .filter((mapper) => mapper.canHandle(frame))
    .flatMap((mapper) => [...(mapper.map(frame, at) || [])])
    .map((row) => ({ ...row, timestamp: time(row.timestamp), fundingTimestamp: time(row.fundingTimestamp), localTimestamp: 0 }))
)
console.log(JSON.stringify(found))
