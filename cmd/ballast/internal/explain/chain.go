// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Stored is an event with its place in a stream.
type Stored struct {
	// ID, Type and Source of the event.
	ID     string      `json:"id"`
	Type   events.Type `json:"type"`
	Source string      `json:"source"`
	// Stream, Epoch (of the journal, 0 elsewhere), Sequence and Arrived are
	// where and when it was stored.
	Stream   string    `json:"stream"`
	Epoch    uint64    `json:"epoch,omitempty"`
	Sequence uint64    `json:"sequence"`
	Arrived  time.Time `json:"arrived"`
	// Data of it.
	Data events.Payload `json:"data"`
}

func stored(e *events.Event) *Stored {
	return &Stored{ID: e.ID, Type: e.Type, Source: e.Source, Stream: e.Stream, Epoch: e.Epoch, Sequence: e.Sequence, Arrived: e.Arrived, Data: e.Data}
}

// Chain is the causal chain of a command or a decision.
type Chain struct {
	// Site, and ID of the event asked for.
	Site string `json:"site"`
	ID   string `json:"id"`
	// Asked is that event; Decision the dispatch.decided of the same cause, nil
	// where nothing changed (a ramp that was lost is repeated without one).
	Asked    *Stored `json:"asked"`
	Decision *Stored `json:"decision,omitempty"`
	// Commands of the same cause, Asked among them, in order.
	Commands []*Stored `json:"commands"`
	// Cause in the journal; nil when it is not kept any more, and then NoCause
	// says so.
	Cause   *Stored `json:"cause,omitempty"`
	NoCause string  `json:"no_cause,omitempty"`
	// CauseAt is when the cause arrived.
	CauseAt time.Time `json:"cause_at"`
	// Followed is what became of it.
	Followed *Followed `json:"followed,omitempty"`
	// Replayed is what folding the cause again tells, when asked for.
	Replayed *Replayed `json:"replayed,omitempty"`
}

// Followed is what agents and meters made of commands.
type Followed struct {
	// Units that were commanded (of a broadcast: that were heard of since), and
	// how many have Applied it, or something newer.
	Units   int `json:"units"`
	Applied int `json:"applied"`
	// AppliedMilliseconds from the cause to the arrival of the status that
	// proves the last of them, which is Status; nil while some are missing. ms.
	AppliedMilliseconds *int64  `json:"applied_milliseconds,omitempty"`
	Status              *Stored `json:"-"`
	StatusSequence      uint64  `json:"status_sequence,omitempty"`
	// Missing lists some units that have not.
	Missing []string `json:"missing,omitempty"`
	// Metered are the verifications by meter.
	Metered []*Stored `json:"metered,omitempty"`
	// Escalated are the steps taken against units that did not follow.
	Escalated []*Stored `json:"escalated,omitempty"`
}
