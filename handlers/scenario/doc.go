// SPDX-License-Identifier: Apache-2.0

// Package scenario plays stories against a decider: text files that say what
// happens at a site and which commands must follow, readable by whoever runs
// one.
//
//	site demo
//	config limit 10 MW, reserve 500 kW, ai nameplate 9 MW
//	config meter ai measures ai, every 1s, stale 5s, range 0 W to 12 MW
//
//	from 0s every 1s meter ai reads 4 MW
//	at 1s worker rig-1 announces 3.5 kW at 21 J/TH, follows
//	at 2s expect ramp rig-1 to 3.5 kW because available
//	at 9.5s signal curtail to 0 W for 10m because "EEA2" id eea2
//	at 9.5s expect curtail rig-1 to 0 W because grid-curtail signal eea2
//	from 10s to 60s expect no ramp
//
// A site may be a tree of nodes ("config node pdu-1 in ups-a limit 2 MW, factor
// 80%, 2n, agent farm"; see node.go), with meters at them ("meter … at pdu-1") and
// outlets ("config outlet o-3 by pdu-7 feeds farm unit farm-3").
//
// A tick of the clock comes by itself every second. A worker that "follows"
// obeys commands as a real one does: leases, failsafe, time to fall and all.
// A worker that does not follow says only what lines of the form
// "worker rig-1 reports …" let it say.
//
// # Lines
//
// "#" begins a comment; commas are for the eye only. Durations read 90s, 10m,
// 1.5s; power reads 3.5 kW; prices read 42.50 $/MWh. Times count from the start
// of the story.
//
//	site NAME                        decider OPTION…
//	start 2026-11-21T00:00:00Z       ticks off            run until 5m
//	config KEY VALUE …               see the table in config.go
//	at T EVENT                       from T every D [until T] EVENT
//	at T [within D] expect WHAT      from T to T expect WHAT
//
// EVENT is one of
//
//	configure KEY VALUE …
//	meter M reads POWER|workers|site [quality Q] [sampled D ago|ahead] [counter N mWh]
//	worker A announces [N units of] POWER [at E J/TH] [class C] [min POWER] [levels P P P]
//	       [level NAME POWER [at E J/TH|wakes D]]… [boots D]
//	       [failsafe POWER] [falls D] [meter M] [node N] [follows] [unhealthy] [real]
//	worker A reports [power P] [setpoint P] [state S] [applied] [healthy|unhealthy] [local P|unlocked]
//	       [because REASON [signal ID]|because nothing]
//	worker A leaves | restarts | falls silent | returns | disobeys | obeys
//	signal KIND [to POWER|PRICE] [at NODE] [for D] [starting in D] [issued D ago] [from ISSUER] [id ID]
//	       [programme P] [ramp D] [minimum D] [recovery D] [rising POWER a minute] [precedence P]
//	       [priority N] [test] [supersedes ID] [cancels ID] [because "TEXT"]
//	job ID announced|starting|running|interrupted|paused|ended [at NODE] [seen by METER]…
//	       [peak POWER] [starting in D] [from SCHEDULER] [of SCHEDULER] [said D ago] [because "TEXT"]
//	controller C follows | switches nothing | fails because "TEXT"
//	operator switches outlet ID on|off [because "TEXT"]
//	quote btc PRICE $ subsidy N sat fees N sat nbits HEX [height N] [practice] [network-only]
//	clock jumps forward|back D | ticks stop | ticks resume | tick | epoch N
//	event TYPE from SOURCE {JSON}
//
// WHAT is one of
//
//	nothing
//	[no|N] ramp|curtail|renewal A [unit U] [to POWER] [because REASON] [signal ID]
//	[no|N] broadcast [to POWER] [because REASON] [signal ID]
//	[no|N] decided [because REASON] [FIELD VALUE]…
//	[no|N] metered OUTCOME [because REASON] [signal ID] [FIELD VALUE]…
//	[no|N] escalated UNIT [to RUNG] [FIELD VALUE]…
//	[no|N] outlet ID off|on [because REASON] [FIELD VALUE]…
//	[no] alert ID        [no] cleared ID
//	draw at most POWER   power A [unit U] POWER
//	[no|N] output TYPE [from SOURCE] [FIELD VALUE]…
//
// FIELD is a JSON path of the payload, such as units.0.setpoint_watts; a VALUE
// with a unit of power is turned into watts.
//
// # Concurrency
//
// Play shares nothing between calls.
package scenario
