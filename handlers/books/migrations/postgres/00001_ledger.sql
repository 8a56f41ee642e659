-- SPDX-License-Identifier: Apache-2.0
-- +goose Up

-- How far each stream is written: everything up to and including sequence.
CREATE TABLE positions (
  stream         TEXT PRIMARY KEY,
  sequence       BIGINT NOT NULL,
  arrived_nanos  BIGINT NOT NULL -- of that message, Unix nanoseconds: tells whether the stream is still the same
);

-- energy.settled: contracted + overdrawn = ai + house + mining + resold + unused
CREATE TABLE energy (
  event_id                          TEXT PRIMARY KEY,
  site                              TEXT NOT NULL,
  sequence                          BIGINT NOT NULL,
  arrived_at                        TIMESTAMPTZ NOT NULL,
  interval_start                    TIMESTAMPTZ NOT NULL,
  interval_end                      TIMESTAMPTZ NOT NULL,
  contracted_milliwatt_hours        BIGINT NOT NULL,
  overdrawn_milliwatt_hours         BIGINT NOT NULL,
  ai_milliwatt_hours                BIGINT NOT NULL,
  house_milliwatt_hours             BIGINT NOT NULL,
  mining_milliwatt_hours            BIGINT NOT NULL,
  resold_milliwatt_hours            BIGINT NOT NULL,
  unused_milliwatt_hours            BIGINT NOT NULL,
  estimated_milliwatt_hours         BIGINT NOT NULL,
  modelled_milliwatt_hours          BIGINT NOT NULL,
  witness_milliwatt_hours           BIGINT NOT NULL,
  over_limit_milliseconds           BIGINT NOT NULL,
  over_limit_by_mining_milliseconds BIGINT NOT NULL,
  reverses                          TEXT,
  withdrawal                        BOOLEAN NOT NULL -- takes back what it reverses and puts nothing in its place
);
CREATE INDEX energy_reverses ON energy (reverses);
CREATE INDEX energy_interval ON energy (site, interval_start);

-- revenue.settled, and its lines by basis
CREATE TABLE settlements (
  event_id               TEXT PRIMARY KEY,
  site                   TEXT NOT NULL,
  sequence               BIGINT NOT NULL,
  arrived_at             TIMESTAMPTZ NOT NULL,
  interval_start         TIMESTAMPTZ NOT NULL,
  interval_end           TIMESTAMPTZ NOT NULL,
  energy_cost_microusd   BIGINT NOT NULL,
  resale_microusd        BIGINT NOT NULL,
  margin_microusd        BIGINT NOT NULL,
  price_microusd_per_mwh BIGINT NOT NULL,
  energy_event_id        TEXT NOT NULL,
  reverses               TEXT,
  withdrawal             BOOLEAN NOT NULL
);
CREATE INDEX settlements_reverses ON settlements (reverses);
CREATE INDEX settlements_interval ON settlements (site, interval_start);

CREATE TABLE settlement_lines (
  event_id          TEXT NOT NULL,
  basis             TEXT NOT NULL,
  shares_accepted   BIGINT NOT NULL,
  shares_rejected   BIGINT NOT NULL,
  shares_unknown    BIGINT NOT NULL,
  revenue_millisats BIGINT NOT NULL,
  revenue_microusd  BIGINT NOT NULL,
  PRIMARY KEY (event_id, basis)
);

-- revenue.accrued; a reversal carries the figures with the sign turned
CREATE TABLE accruals (
  event_id           TEXT PRIMARY KEY,
  site               TEXT NOT NULL,
  sequence           BIGINT NOT NULL,
  arrived_at         TIMESTAMPTZ NOT NULL,
  from_time          TIMESTAMPTZ NOT NULL,
  until_time         TIMESTAMPTZ NOT NULL,
  pool               TEXT NOT NULL,
  nbits              TEXT NOT NULL,
  reward_sats        BIGINT NOT NULL,
  fee_ppm            BIGINT NOT NULL,
  scheme             TEXT NOT NULL,
  basis              TEXT NOT NULL,
  shares_accepted    BIGINT NOT NULL,
  difficulty_sum     NUMERIC NOT NULL,
  value_millisats    BIGINT NOT NULL,
  carry_numerator    NUMERIC NOT NULL,
  carry_denominator  NUMERIC NOT NULL,
  btc_price_microusd BIGINT NOT NULL,
  value_microusd     BIGINT NOT NULL,
  reverses           TEXT,
  block_hash         TEXT, -- of our block whose coinbase this books, under solo
  statement_id       TEXT, -- of the pool's statement that the books follow, and why:
  variance           TEXT
);
CREATE INDEX accruals_time ON accruals (site, from_time);

-- revenue.reconciled: differences are theirs minus ours
CREATE TABLE reconciliations (
  event_id              TEXT PRIMARY KEY,
  site                  TEXT NOT NULL,
  sequence              BIGINT NOT NULL,
  arrived_at            TIMESTAMPTZ NOT NULL,
  statement_id          TEXT NOT NULL,
  pool                  TEXT NOT NULL,
  from_time             TIMESTAMPTZ NOT NULL,
  until_time            TIMESTAMPTZ NOT NULL,
  shares_accepted       BIGINT NOT NULL,
  shares_stated         BIGINT NOT NULL,
  shares_difference     BIGINT NOT NULL,
  difficulty_sum        NUMERIC NOT NULL,
  difficulty_stated     NUMERIC NOT NULL,
  difficulty_difference NUMERIC NOT NULL,
  value_millisats       BIGINT NOT NULL,
  stated_millisats      BIGINT NOT NULL,
  difference_millisats  BIGINT NOT NULL,
  money_stated          BOOLEAN NOT NULL,
  unknown_accepted      BIGINT NOT NULL,
  unknown_rejected      BIGINT NOT NULL,
  unknown_left          BIGINT NOT NULL,
  basis                 TEXT NOT NULL
);

-- pool.statement, and the unknown shares that it decides
CREATE TABLE statements (
  event_id        TEXT PRIMARY KEY,
  site            TEXT NOT NULL,
  sequence        BIGINT NOT NULL,
  arrived_at      TIMESTAMPTZ NOT NULL,
  statement_id    TEXT NOT NULL,
  pool            TEXT NOT NULL,
  from_time       TIMESTAMPTZ NOT NULL,
  until_time      TIMESTAMPTZ NOT NULL,
  shares_accepted BIGINT NOT NULL,
  difficulty_sum  NUMERIC NOT NULL,
  value_millisats BIGINT, -- NULL when the pool says nothing of money
  basis           TEXT NOT NULL,
  stated_at       TIMESTAMPTZ NOT NULL
);

CREATE TABLE statement_shares (
  event_id TEXT NOT NULL,
  ordinal  BIGINT NOT NULL,
  share_id TEXT NOT NULL,
  credited BOOLEAN NOT NULL,
  PRIMARY KEY (event_id, ordinal)
);

-- block.found, block.matured, block.orphaned: one row per event
CREATE TABLE blocks (
  event_id      TEXT PRIMARY KEY,
  site          TEXT NOT NULL,
  sequence      BIGINT NOT NULL,
  arrived_at    TIMESTAMPTZ NOT NULL,
  gateway       TEXT NOT NULL,
  state         TEXT NOT NULL, -- found, matured, orphaned
  block_hash    TEXT NOT NULL,
  height        BIGINT NOT NULL,
  pool          TEXT NOT NULL,
  job_id        TEXT NOT NULL,
  agent         TEXT NOT NULL,
  unit          TEXT NOT NULL,
  reward_sats   BIGINT NOT NULL,
  scheme        TEXT NOT NULL,
  basis         TEXT NOT NULL,
  confirmations BIGINT NOT NULL,
  detail        TEXT NOT NULL,
  seen_at       TIMESTAMPTZ NOT NULL
);
CREATE INDEX blocks_hash ON blocks (site, block_hash);

-- share.accepted, share.rejected, share.unknown: one row per verdict
CREATE TABLE shares (
  event_id    TEXT PRIMARY KEY,
  site        TEXT NOT NULL,
  sequence    BIGINT NOT NULL,
  arrived_at  TIMESTAMPTZ NOT NULL, -- the time of acceptance
  gateway     TEXT NOT NULL,
  share_id    TEXT NOT NULL,
  job_id      TEXT NOT NULL,
  agent       TEXT NOT NULL,
  unit        TEXT NOT NULL,
  difficulty  NUMERIC NOT NULL,
  verdict     TEXT NOT NULL, -- accepted, rejected, unknown
  reason      TEXT,          -- of a rejection, as a code
  detail      TEXT NOT NULL,
  basis       TEXT NOT NULL,
  pool        TEXT,          -- this and the terms: of an accepted share
  nbits       TEXT,
  reward_sats BIGINT,
  fee_ppm     BIGINT,
  scheme      TEXT,
  block       BOOLEAN NOT NULL,
  local       BOOLEAN NOT NULL, -- below the difficulty of the pool: proves work, earns nothing
  judged_at   TIMESTAMPTZ NOT NULL,
  counted     BOOLEAN NOT NULL  -- the first verdict on its share
);
CREATE INDEX shares_id ON shares (site, share_id);
CREATE INDEX shares_time ON shares (site, arrived_at);

-- Shares summed by hour and unit, exactly. value_numerator over the constant
-- denominator is the value in millisatoshi; value_millisats is it rounded down.
CREATE TABLE unit_hours (
  id              TEXT PRIMARY KEY,
  site            TEXT NOT NULL,
  hour            TIMESTAMPTZ NOT NULL,
  unit            TEXT NOT NULL,
  pool            TEXT NOT NULL, -- empty for what was not accepted
  basis           TEXT NOT NULL,
  verdict         TEXT NOT NULL,
  local           BOOLEAN NOT NULL,
  shares          BIGINT NOT NULL,
  difficulty_sum  NUMERIC NOT NULL,
  value_numerator NUMERIC NOT NULL,
  value_millisats BIGINT NOT NULL
);
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
SELECT site, date_trunc('hour', interval_start, 'UTC') AS hour, count(*) AS intervals,
  CAST(sum(contracted_milliwatt_hours) AS BIGINT) AS contracted_milliwatt_hours,
  CAST(sum(overdrawn_milliwatt_hours) AS BIGINT) AS overdrawn_milliwatt_hours,
  CAST(sum(ai_milliwatt_hours) AS BIGINT) AS ai_milliwatt_hours,
  CAST(sum(house_milliwatt_hours) AS BIGINT) AS house_milliwatt_hours,
  CAST(sum(mining_milliwatt_hours) AS BIGINT) AS mining_milliwatt_hours,
  CAST(sum(resold_milliwatt_hours) AS BIGINT) AS resold_milliwatt_hours,
  CAST(sum(unused_milliwatt_hours) AS BIGINT) AS unused_milliwatt_hours,
  CAST(sum(estimated_milliwatt_hours) AS BIGINT) AS estimated_milliwatt_hours,
  CAST(sum(modelled_milliwatt_hours) AS BIGINT) AS modelled_milliwatt_hours,
  CAST(sum(witness_milliwatt_hours) AS BIGINT) AS witness_milliwatt_hours
FROM standing_energy GROUP BY 1, 2;

CREATE VIEW revenue_by_hour AS
SELECT site, date_trunc('hour', from_time, 'UTC') AS hour, pool, basis,
  CAST(sum(shares_accepted) AS BIGINT) AS shares_accepted,
  CAST(sum(value_millisats) AS BIGINT) AS value_millisats,
  CAST(sum(value_microusd) AS BIGINT) AS value_microusd
FROM accruals GROUP BY 1, 2, 3, 4;

CREATE VIEW revenue_by_site AS
SELECT site, basis,
  CAST(sum(shares_accepted) AS BIGINT) AS shares_accepted,
  CAST(sum(value_millisats) AS BIGINT) AS value_millisats,
  CAST(sum(value_microusd) AS BIGINT) AS value_microusd
FROM accruals GROUP BY 1, 2;

-- Expected value by unit, each row of unit_hours rounded down: at most one
-- millisatoshi per row below what was accrued. No dollars: those are booked per site.
CREATE VIEW revenue_by_unit AS
SELECT site, unit, basis,
  CAST(sum(CASE WHEN verdict = 'accepted' AND NOT local THEN shares ELSE 0 END) AS BIGINT) AS shares_accepted,
  CAST(sum(CASE WHEN verdict = 'accepted' AND local THEN shares ELSE 0 END) AS BIGINT) AS shares_local,
  CAST(sum(CASE WHEN verdict = 'rejected' THEN shares ELSE 0 END) AS BIGINT) AS shares_rejected,
  CAST(sum(CASE WHEN verdict = 'unknown' THEN shares ELSE 0 END) AS BIGINT) AS shares_unknown,
  CAST(sum(value_millisats) AS BIGINT) AS value_millisats
FROM unit_hours GROUP BY 1, 2, 3;

CREATE VIEW shares_by_hour AS
SELECT site, hour, basis, verdict, local, CAST(sum(shares) AS BIGINT) AS shares
FROM unit_hours GROUP BY 1, 2, 3, 4, 5;

CREATE VIEW margin_by_hour AS
SELECT site, date_trunc('hour', interval_start, 'UTC') AS hour, count(*) AS intervals,
  CAST(sum(energy_cost_microusd) AS BIGINT) AS energy_cost_microusd,
  CAST(sum(resale_microusd) AS BIGINT) AS resale_microusd,
  CAST(sum(margin_microusd) AS BIGINT) AS margin_microusd
FROM standing_settlements GROUP BY 1, 2;
