-- SPDX-License-Identifier: Apache-2.0
-- +goose Up

-- curtailment.settled: what units could have hashed in an interval and did not
CREATE TABLE curtailments (
  event_id                  TEXT PRIMARY KEY,
  site                      TEXT NOT NULL,
  sequence                  INTEGER NOT NULL,
  arrived_at                TEXT NOT NULL,
  interval_start            TEXT NOT NULL,
  interval_end              TEXT NOT NULL,
  nameplate_milliwatt_hours INTEGER NOT NULL, -- what all units in view could have used
  energy_event_id           TEXT NOT NULL,
  reverses                  TEXT,
  withdrawal                INTEGER NOT NULL -- takes back what it reverses and puts nothing in its place
) STRICT;
CREATE INDEX curtailments_reverses ON curtailments (reverses);
CREATE INDEX curtailments_interval ON curtailments (site, interval_start);

-- one line per basis, reason and grid signal, with the rate at which it is valued
CREATE TABLE curtailment_lines (
  event_id                 TEXT NOT NULL,
  basis                    TEXT NOT NULL,
  reason                   TEXT NOT NULL,
  signal_id                TEXT NOT NULL, -- empty for none
  milliwatt_hours          INTEGER NOT NULL,
  modelled_milliwatt_hours INTEGER NOT NULL,
  hashes                   TEXT NOT NULL,
  forgone_millisats        INTEGER NOT NULL,
  forgone_microusd         INTEGER NOT NULL,
  avoided_cost_microusd    INTEGER NOT NULL,
  net_microusd             INTEGER NOT NULL, -- forgone - avoided cost
  pool                     TEXT,          -- this and the terms: NULL when no share of the basis was ever paid
  nbits                    TEXT,
  reward_sats              INTEGER,
  fee_ppm                  INTEGER,
  share_difficulty         TEXT, -- where a share is harder than a block: the work that earns the reward
  btc_price_microusd       INTEGER,
  PRIMARY KEY (event_id, basis, reason, signal_id)
) STRICT;

CREATE VIEW standing_curtailments AS
SELECT * FROM curtailments c
WHERE NOT withdrawal AND NOT EXISTS (SELECT 1 FROM curtailments r WHERE r.reverses = c.event_id);

-- Never part of a margin: what was not earned, and what its energy would have cost.
CREATE VIEW forgone_by_hour AS
SELECT site, substr(interval_start, 1, 13) || ':00:00.000000Z' AS hour, basis, reason,
  CAST(sum(milliwatt_hours) AS INTEGER) AS milliwatt_hours,
  CAST(sum(modelled_milliwatt_hours) AS INTEGER) AS modelled_milliwatt_hours,
  CAST(sum(forgone_millisats) AS INTEGER) AS forgone_millisats,
  CAST(sum(forgone_microusd) AS INTEGER) AS forgone_microusd,
  CAST(sum(avoided_cost_microusd) AS INTEGER) AS avoided_cost_microusd,
  CAST(sum(net_microusd) AS INTEGER) AS net_microusd
FROM standing_curtailments JOIN curtailment_lines USING (event_id) GROUP BY 1, 2, 3, 4;

CREATE VIEW forgone_by_signal AS
SELECT site, basis, reason, signal_id, min(interval_start) AS from_time, max(interval_end) AS until_time,
  CAST(sum(milliwatt_hours) AS INTEGER) AS milliwatt_hours,
  CAST(sum(modelled_milliwatt_hours) AS INTEGER) AS modelled_milliwatt_hours,
  CAST(sum(forgone_millisats) AS INTEGER) AS forgone_millisats,
  CAST(sum(forgone_microusd) AS INTEGER) AS forgone_microusd,
  CAST(sum(avoided_cost_microusd) AS INTEGER) AS avoided_cost_microusd,
  CAST(sum(net_microusd) AS INTEGER) AS net_microusd
FROM standing_curtailments JOIN curtailment_lines USING (event_id) GROUP BY 1, 2, 3, 4;
