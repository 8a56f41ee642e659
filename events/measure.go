// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Quality of a reading, as its source judges it.
type Quality string

// Qualities. Only QualityGood may ever support an increase of power.
const (
	QualityGood    Quality = "good"
	QualitySuspect Quality = "suspect"
	QualityBad     Quality = "bad"
)

// MeterReading (meter.reading) is one sample of one meter. The source token of
// the subject is the meter's id.
type MeterReading struct {
	// PowerWatts is active power, positive = consumption. W, integer. A meter
	// that measures consumption only never reads negative; the site
	// configuration's range decides what is believed.
	PowerWatts int64 `json:"power_watts"`
	// EnergyMilliwattHours is the meter's own import counter, mWh, where it
	// has one. It may wrap or reset.
	EnergyMilliwattHours *int64 `json:"energy_milliwatt_hours,omitempty"`
	// SampledAt is when the value was true, by the device's clock.
	SampledAt time.Time `json:"sampled_at"`
	// Quality as judged by the source.
	Quality Quality `json:"quality"`
	// Modelled is true when a plant model, not a meter, made the value.
	Modelled bool `json:"modelled,omitempty"`
}

// ClockTick (clock.tick) is time as deciders know it: one per site and second,
// whichever host offered it first.
type ClockTick struct {
	// Second is Unix time in seconds.
	Second int64 `json:"second"`
}

// NetworkQuoteLife is how long the network's state from a block template
// (MarketQuote.NetworkOnly) goes before that of quotes with a price. A chain is
// longer than that without a block once in some years.
const NetworkQuoteLife = 2 * time.Hour

// MarketQuote (market.quote) is what a unit of work is worth: network state and
// price. It is a fact with a source, so that a replay needs no look-up.
//
// What a gateway on a node says from its block template has no price, see
// NetworkOnly. As long as one is younger than NetworkQuoteLife, nothing but the
// price counts of quotes that have one.
type MarketQuote struct {
	// NBits is the network target in compact form, 8 hex digits.
	NBits string `json:"nbits"`
	// Height of the block being mined.
	Height int64 `json:"height"`
	// SubsidySats and FeesSats make the block reward, satoshi.
	SubsidySats int64 `json:"subsidy_sats"`
	FeesSats    int64 `json:"fees_sats"`
	// BTCPriceMicrousd is the price of one bitcoin in micro-dollars; 0 when there
	// is none.
	BTCPriceMicrousd int64 `json:"btc_price_microusd"`
	// QuotedAt is when the quote was true.
	QuotedAt time.Time `json:"quoted_at"`
	// Practice is true for quotes of a practice chain: no money.
	Practice bool `json:"practice,omitempty"`
	// NetworkOnly: the state of the network as a block template tells it. The
	// price is 0 then, and the one known before stays.
	NetworkOnly bool `json:"network_only,omitempty"`
}
