// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// ShareSubmitted (share.submitted) says that a share is about to be written to
// the upstream: it is stored first. So after a kill everybody can tell a share
// without a verdict that may have reached the pool, which is unknown, from one
// that certainly has not. The source token is the gateway's id.
type ShareSubmitted struct {
	// ShareID, JobID, Agent and Unit of the share.
	ShareID string `json:"share_id"`
	JobID   string `json:"job_id"`
	Agent   string `json:"agent"`
	Unit    string `json:"unit"`
	// Pool and Session of the upstream that it goes to.
	Pool    string `json:"pool"`
	Session string `json:"session"`
	// SubmittedAt by the gateway's clock.
	SubmittedAt time.Time `json:"submitted_at"`
}

// UpstreamState is how a gateway stands with its upstream.
type UpstreamState string

// Upstream states.
const (
	// UpstreamConnecting: no session yet, or none any more.
	UpstreamConnecting UpstreamState = "connecting"
	// UpstreamReady: a session with work.
	UpstreamReady UpstreamState = "ready"
	// UpstreamFailing: it answers, and not as it must; Detail says how.
	UpstreamFailing UpstreamState = "failing"
	// UpstreamDraining: the gateway ends and takes no more agents.
	UpstreamDraining UpstreamState = "draining"
)

// GatewayStatus (gateway.status) is a gateway's sign of life and its account,
// every second and whenever its state changes. The source token is its id.
// Gateways of a site divide the agents by rendezvous hash over those whose
// newest status is younger than GatewaySilence and ready.
type GatewayStatus struct {
	// Instance is made new at every start of the gateway.
	Instance string `json:"instance"`
	// Counter rises by one per status within an instance, from 1.
	Counter uint64 `json:"counter"`
	// Pool is the upstream's id, Upstream its address without credentials.
	Pool     string `json:"pool"`
	Upstream string `json:"upstream"`
	// State of the upstream, and Detail in words.
	State  UpstreamState `json:"state"`
	Detail string        `json:"detail,omitempty"`
	// Session of the upstream, empty when there is none; Sessions of it that
	// are open.
	Session  string `json:"session,omitempty"`
	Sessions int64  `json:"sessions"`
	// Difficulty of the upstream's shares, decimal text, or empty.
	Difficulty string `json:"difficulty,omitempty"`
	// Height of the block being mined; 0 when not known.
	Height int64 `json:"height"`
	// Agents on the bus that this gateway serves, and Connections of miners
	// to its own server.
	Agents      int64 `json:"agents"`
	Connections int64 `json:"connections"`
	// Shares since the start, by what became of them: SharesFound is the sum
	// of the others and of those that wait for their verdict.
	SharesFound    int64 `json:"shares_found"`
	SharesAccepted int64 `json:"shares_accepted"`
	SharesRejected int64 `json:"shares_rejected"`
	SharesUnknown  int64 `json:"shares_unknown"`
	// BlocksFound since the start.
	BlocksFound int64 `json:"blocks_found"`
	// HashrateMHs over the last ten minutes as the shares prove it, MH/s,
	// rounded down.
	HashrateMHs int64 `json:"hashrate_mhs"`
	// SeenAt by the gateway's clock.
	SeenAt time.Time `json:"seen_at"`
}

// GatewaySilence is how old a gateway's newest status may be before the others
// take its agents.
const GatewaySilence = 4 * time.Second

// PoolStatement (pool.statement) is the pool's own account of a span of time:
// what it counted, and what it says it owes or has paid. Shares that were
// unknown to us become accepted or rejected by it. The source token is the
// pool's id.
type PoolStatement struct {
	// StatementID is the pool's own, or one made from its figures; a second
	// statement with the same id is the same statement.
	StatementID string `json:"statement_id"`
	// Pool id, as in the payouts of the shares.
	Pool string `json:"pool"`
	// From and Until bound the acceptance times, UTC, until exclusive.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// SharesAccepted and the exact sum of their difficulties, decimal.
	SharesAccepted int64  `json:"shares_accepted"`
	DifficultySum  string `json:"difficulty_sum"`
	// ValueMillisats credited for them after fees; nil when the pool says
	// nothing of money.
	ValueMillisats *int64 `json:"value_millisats,omitempty"`
	// Credited and Refused list shares that were unknown to us, by id.
	Credited []string `json:"credited,omitempty"`
	Refused  []string `json:"refused,omitempty"`
	// Basis of the value.
	Basis Basis `json:"basis"`
	// StatedAt by whoever fetched it.
	StatedAt time.Time `json:"stated_at"`
}

// RevenueReconciled (revenue.reconciled) sets a pool's statement beside our
// own books for the same span. Zero differences are the normal case.
type RevenueReconciled struct {
	// StatementID answered, Pool and span as stated.
	StatementID string    `json:"statement_id"`
	Pool        string    `json:"pool"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	// Ours and theirs; differences are theirs minus ours.
	SharesAccepted       int64  `json:"shares_accepted"`
	SharesStated         int64  `json:"shares_stated"`
	SharesDifference     int64  `json:"shares_difference"`
	DifficultySum        string `json:"difficulty_sum"`
	DifficultyStated     string `json:"difficulty_stated"`
	DifficultyDifference string `json:"difficulty_difference"`
	ValueMillisats       int64  `json:"value_millisats"`
	StatedMillisats      int64  `json:"stated_millisats"`
	DifferenceMillisats  int64  `json:"difference_millisats"`
	MoneyStated          bool   `json:"money_stated"`
	UnknownAccepted      int64  `json:"unknown_accepted"`
	UnknownRejected      int64  `json:"unknown_rejected"`
	UnknownLeft          int64  `json:"unknown_left"`
	// Basis of the value.
	Basis Basis `json:"basis"`
	// Key of the decision.
	Key OrderKey `json:"key"`
}
