-- SPDX-License-Identifier: Apache-2.0
-- +goose Up

-- How far each stream is written: everything up to and including sequence.
CREATE TABLE positions (
  stream         TEXT PRIMARY KEY,
  sequence       INTEGER NOT NULL,
  arrived_nanos  INTEGER NOT NULL -- of that message, Unix nanoseconds: tells whether the stream is still the same
) STRICT;

-- energy.settled: contracted + overdrawn = ai + house + mining + resold + unused
CREATE TABLE energy (
  event_id                          TEXT PRIMARY KEY,
  site                              TEXT NOT NULL,
  sequence                          INTEGER NOT NULL,
  arrived_at                        TEXT NOT NULL,
  interval_start                    TEXT NOT NULL,
  interval_end                      TEXT NOT NULL,
  contracted_milliwatt_hours        INTEGER NOT NULL,
  overdrawn_milliwatt_hours         INTEGER NOT NULL,
  ai_milliwatt_hours                INTEGER NOT NULL,
  house_milliwatt_hours             INTEGER NOT NULL,
  mining_milliwatt_hours            INTEGER NOT NULL,
  resold_milliwatt_hours            INTEGER NOT NULL,
  unused_milliwatt_hours            INTEGER NOT NULL,
  estimated_milliwatt_hours         INTEGER NOT NULL,
  modelled_milliwatt_hours          INTEGER NOT NULL,
  witness_milliwatt_hours           INTEGER NOT NULL,
  over_limit_milliseconds           INTEGER NOT NULL,
  over_limit_by_mining_milliseconds INTEGER NOT NULL,
  reverses                          TEXT,
  withdrawal                        INTEGER NOT NULL -- takes back what it reverses and puts nothing in its place
) STRICT;
CREATE INDEX energy_reverses ON energy (reverses);
CREATE INDEX energy_interval ON energy (site, interval_start);

-- revenue.settled, and its lines by basis
CREATE TABLE settlements (
  event_id               TEXT PRIMARY KEY,
  site                   TEXT NOT NULL,
  sequence               INTEGER NOT NULL,
  arrived_at             TEXT NOT NULL,
  interval_start         TEXT NOT NULL,
  interval_end           TEXT NOT NULL,
  energy_cost_microusd   INTEGER NOT NULL,
  resale_microusd        INTEGER NOT NULL,
  margin_microusd        INTEGER NOT NULL,
  price_microusd_per_mwh INTEGER NOT NULL,
  energy_event_id        TEXT NOT NULL,
  reverses               TEXT,
  withdrawal             INTEGER NOT NULL
) STRICT;
CREATE INDEX settlements_reverses ON settlements (reverses);
CREATE INDEX settlements_interval ON settlements (site, interval_start);

CREATE TABLE settlement_lines (
  event_id          TEXT NOT NULL,
  basis             TEXT NOT NULL,
  shares_accepted   INTEGER NOT NULL,
  shares_rejected   INTEGER NOT NULL,
  shares_unknown    INTEGER NOT NULL,
  revenue_millisats INTEGER NOT NULL,
  revenue_microusd  INTEGER NOT NULL,
  PRIMARY KEY (event_id, basis)
) STRICT;

-- revenue.accrued; a reversal carries the figures with the sign turned
CREATE TABLE accruals (
  event_id           TEXT PRIMARY KEY,
  site               TEXT NOT NULL,
  sequence           INTEGER NOT NULL,
  arrived_at         TEXT NOT NULL,
  from_time          TEXT NOT NULL,
  until_time         TEXT NOT NULL,
  pool               TEXT NOT NULL,
  nbits              TEXT NOT NULL,
  reward_sats        INTEGER NOT NULL,
  fee_ppm            INTEGER NOT NULL,
  scheme             TEXT NOT NULL,
  basis              TEXT NOT NULL,
  shares_accepted    INTEGER NOT NULL,
  difficulty_sum     TEXT NOT NULL,
  value_millisats    INTEGER NOT NULL,
  carry_numerator    TEXT NOT NULL,
  carry_denominator  TEXT NOT NULL,
  btc_price_microusd INTEGER NOT NULL,
  value_microusd     INTEGER NOT NULL,
  reverses           TEXT,
  block_hash         TEXT, -- of our block whose coinbase this books, under solo
  statement_id       TEXT, -- of the pool's statement that the books follow, and why:
  variance           TEXT
) STRICT;
CREATE INDEX accruals_time ON accruals (site, from_time);

-- revenue.reconciled: differences are theirs minus ours
CREATE TABLE reconciliations (
  event_id              TEXT PRIMARY KEY,
  site                  TEXT NOT NULL,
  sequence              INTEGER NOT NULL,
  arrived_at            TEXT NOT NULL,
  statement_id          TEXT NOT NULL,
  pool                  TEXT NOT NULL,
  from_time             TEXT NOT NULL,
  until_time            TEXT NOT NULL,
  shares_accepted       INTEGER NOT NULL,
  shares_stated         INTEGER NOT NULL,
  shares_difference     INTEGER NOT NULL,
  difficulty_sum        TEXT NOT NULL,
  difficulty_stated     TEXT NOT NULL,
  difficulty_difference TEXT NOT NULL,
  value_millisats       INTEGER NOT NULL,
  stated_millisats      INTEGER NOT NULL,
  difference_millisats  INTEGER NOT NULL,
  money_stated          INTEGER NOT NULL,
  unknown_accepted      INTEGER NOT NULL,
  unknown_rejected      INTEGER NOT NULL,
  unknown_left          INTEGER NOT NULL,
  basis                 TEXT NOT NULL
) STRICT;

-- pool.statement, and the unknown shares that it decides
CREATE TABLE statements (
  event_id        TEXT PRIMARY KEY,
  site            TEXT NOT NULL,
  sequence        INTEGER NOT NULL,
  arrived_at      TEXT NOT NULL,
  statement_id    TEXT NOT NULL,
  pool            TEXT NOT NULL,
  from_time       TEXT NOT NULL,
  until_time      TEXT NOT NULL,
  shares_accepted INTEGER NOT NULL,
  difficulty_sum  TEXT NOT NULL,
  value_millisats INTEGER, -- NULL when the pool says nothing of money
  basis           TEXT NOT NULL,
  stated_at       TEXT NOT NULL
) STRICT;

CREATE TABLE statement_shares (
  event_id TEXT NOT NULL,
  ordinal  INTEGER NOT NULL,
  share_id TEXT NOT NULL,
  credited INTEGER NOT NULL,
  PRIMARY KEY (event_id, ordinal)
) STRICT;

-- block.found, block.matured, block.orphaned: one row per event
CREATE TABLE blocks (
  event_id      TEXT PRIMARY KEY,
  site          TEXT NOT NULL,
  sequence      INTEGER NOT NULL,
  arrived_at    TEXT NOT NULL,
  gateway       TEXT NOT NULL,
  state         TEXT NOT NULL, -- found, matured, orphaned
  block_hash    TEXT NOT NULL,
  height        INTEGER NOT NULL,
  pool          TEXT NOT NULL,
  job_id        TEXT NOT NULL,
  agent         TEXT NOT NULL,
  unit          TEXT NOT NULL,
  reward_sats   INTEGER NOT NULL,
  scheme        TEXT NOT NULL,
  basis         TEXT NOT NULL,
  confirmations INTEGER NOT NULL,
  detail        TEXT NOT NULL,
  seen_at       TEXT NOT NULL
) STRICT;
CREATE INDEX blocks_hash ON blocks (site, block_hash);

-- share.accepted, share.rejected, share.unknown: one row per verdict
CREATE TABLE shares (
  event_id    TEXT PRIMARY KEY,
  site        TEXT NOT NULL,
  sequence    INTEGER NOT NULL,
  arrived_at  TEXT NOT NULL, -- the time of acceptance
  gateway     TEXT NOT NULL,
  share_id    TEXT NOT NULL,
  job_id      TEXT NOT NULL,
  agent       TEXT NOT NULL,
  unit        TEXT NOT NULL,
  difficulty  TEXT NOT NULL,
  verdict     TEXT NOT NULL, -- accepted, rejected, unknown
  reason      TEXT,          -- of a rejection, as a code
  detail      TEXT NOT NULL,
  basis       TEXT NOT NULL,
  pool        TEXT,          -- this and the terms: of an accepted share
  nbits       TEXT,
  reward_sats INTEGER,
  fee_ppm     INTEGER,
  scheme      TEXT,
  block       INTEGER NOT NULL,
  local       INTEGER NOT NULL, -- below the difficulty of the pool: proves work, earns nothing
  judged_at   TEXT NOT NULL,
  counted     INTEGER NOT NULL  -- the first verdict on its share
) STRICT;
CREATE INDEX shares_id ON shares (site, share_id);
CREATE INDEX shares_time ON shares (site, arrived_at);

-- Shares summed by hour and unit, exactly. value_numerator over the constant
-- denominator is the value in millisatoshi; value_millisats is it rounded down.
CREATE TABLE unit_hours (
  id              TEXT PRIMARY KEY,
  site            TEXT NOT NULL,
  hour            TEXT NOT NULL,
  unit            TEXT NOT NULL,
  pool            TEXT NOT NULL, -- empty for what was not accepted
  basis           TEXT NOT NULL,
  verdict         TEXT NOT NULL,
  local           INTEGER NOT NULL,
  shares          INTEGER NOT NULL,
  difficulty_sum  TEXT NOT NULL,
  value_numerator TEXT NOT NULL,
  value_millisats INTEGER NOT NULL
) STRICT;
CREATE INDEX unit_hours_time ON unit_hours (site, hour);

-- What no later event has reversed.
CREATE VIEW standing_energy AS
SELECT * FROM energy e
WHERE NOT withdrawal AND NOT EXISTS (SELECT 1 FROM energy r WHERE r.reverses = e.event_id);

CREATE VIEW standing_settlements AS
SELECT * FROM settlements s
WHERE NOT withdrawal AND NOT EXISTS (SELECT 1 FROM settlements r WHERE r.reverses = s.event_id);

-- The newest word on each block.
CREATE VIEW standing_blocks AS
SELECT * FROM blocks b
WHERE NOT EXISTS (SELECT 1 FROM blocks l WHERE l.site = b.site AND l.block_hash = b.block_hash AND l.sequence > b.sequence);

-- What each share came to: the first verdict, or what the pool stated of an unknown one.
CREATE VIEW standing_shares AS
SELECT s.event_id, s.site, s.arrived_at, s.gateway, s.share_id, s.agent, s.unit, s.difficulty, s.basis, s.pool, s.local,
  s.verdict AS first_verdict,
  CASE WHEN s.verdict <> 'unknown' THEN s.verdict
       WHEN EXISTS (SELECT 1 FROM statement_shares t JOIN statements m ON m.event_id = t.event_id
                    WHERE t.share_id = s.share_id AND m.site = s.site AND t.credited) THEN 'accepted'
       WHEN EXISTS (SELECT 1 FROM statement_shares t JOIN statements m ON m.event_id = t.event_id
                    WHERE t.share_id = s.share_id AND m.site = s.site) THEN 'rejected'
       ELSE 'unknown' END AS verdict
FROM shares s WHERE s.counted;

-- difference is 0 in every row.
CREATE VIEW energy_balance AS
SELECT site, interval_start, interval_end,
  contracted_milliwatt_hours, overdrawn_milliwatt_hours, ai_milliwatt_hours, house_milliwatt_hours,
  mining_milliwatt_hours, resold_milliwatt_hours, unused_milliwatt_hours,
  contracted_milliwatt_hours + overdrawn_milliwatt_hours - ai_milliwatt_hours - house_milliwatt_hours
    - mining_milliwatt_hours - resold_milliwatt_hours - unused_milliwatt_hours AS difference
FROM standing_energy;

CREATE VIEW energy_by_hour AS
SELECT site, substr(interval_start, 1, 13) || ':00:00.000000Z' AS hour, count(*) AS intervals,
  CAST(sum(contracted_milliwatt_hours) AS INTEGER) AS contracted_milliwatt_hours,
  CAST(sum(overdrawn_milliwatt_hours) AS INTEGER) AS overdrawn_milliwatt_hours,
  CAST(sum(ai_milliwatt_hours) AS INTEGER) AS ai_milliwatt_hours,
  CAST(sum(house_milliwatt_hours) AS INTEGER) AS house_milliwatt_hours,
  CAST(sum(mining_milliwatt_hours) AS INTEGER) AS mining_milliwatt_hours,
  CAST(sum(resold_milliwatt_hours) AS INTEGER) AS resold_milliwatt_hours,
  CAST(sum(unused_milliwatt_hours) AS INTEGER) AS unused_milliwatt_hours,
  CAST(sum(estimated_milliwatt_hours) AS INTEGER) AS estimated_milliwatt_hours,
  CAST(sum(modelled_milliwatt_hours) AS INTEGER) AS modelled_milliwatt_hours,
  CAST(sum(witness_milliwatt_hours) AS INTEGER) AS witness_milliwatt_hours
FROM standing_energy GROUP BY 1, 2;

CREATE VIEW revenue_by_hour AS
SELECT site, substr(from_time, 1, 13) || ':00:00.000000Z' AS hour, pool, basis,
  CAST(sum(shares_accepted) AS INTEGER) AS shares_accepted,
  CAST(sum(value_millisats) AS INTEGER) AS value_millisats,
  CAST(sum(value_microusd) AS INTEGER) AS value_microusd
FROM accruals GROUP BY 1, 2, 3, 4;

CREATE VIEW revenue_by_site AS
SELECT site, basis,
  CAST(sum(shares_accepted) AS INTEGER) AS shares_accepted,
  CAST(sum(value_millisats) AS INTEGER) AS value_millisats,
  CAST(sum(value_microusd) AS INTEGER) AS value_microusd
FROM accruals GROUP BY 1, 2;

-- Expected value by unit, each row of unit_hours rounded down: at most one
-- millisatoshi per row below what was accrued. No dollars: those are booked per site.
CREATE VIEW revenue_by_unit AS
SELECT site, unit, basis,
  CAST(sum(CASE WHEN verdict = 'accepted' AND NOT local THEN shares ELSE 0 END) AS INTEGER) AS shares_accepted,
  CAST(sum(CASE WHEN verdict = 'accepted' AND local THEN shares ELSE 0 END) AS INTEGER) AS shares_local,
  CAST(sum(CASE WHEN verdict = 'rejected' THEN shares ELSE 0 END) AS INTEGER) AS shares_rejected,
  CAST(sum(CASE WHEN verdict = 'unknown' THEN shares ELSE 0 END) AS INTEGER) AS shares_unknown,
  CAST(sum(value_millisats) AS INTEGER) AS value_millisats
FROM unit_hours GROUP BY 1, 2, 3;

CREATE VIEW shares_by_hour AS
SELECT site, hour, basis, verdict, local, CAST(sum(shares) AS INTEGER) AS shares
FROM unit_hours GROUP BY 1, 2, 3, 4, 5;

CREATE VIEW margin_by_hour AS
SELECT site, substr(interval_start, 1, 13) || ':00:00.000000Z' AS hour, count(*) AS intervals,
  CAST(sum(energy_cost_microusd) AS INTEGER) AS energy_cost_microusd,
  CAST(sum(resale_microusd) AS INTEGER) AS resale_microusd,
  CAST(sum(margin_microusd) AS INTEGER) AS margin_microusd
FROM standing_settlements GROUP BY 1, 2;
