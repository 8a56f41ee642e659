// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
)

// Bounds of what a node may offer. A block has at most 4,000,000 weight units,
// and the smallest transaction takes more than 200 of them.
const (
	maxTransactions = 20_000
	maxBlockBytes   = 4_000_000
	// maxCommas bounds what decoding a hostile list can take up.
	maxCommas       = 1_000_000
	maxLongPollID   = 4096
	maxAuxBytes     = 4096
	maxHeight       = 1<<31 - 1
	opTrueChallenge = "51"
)

// ErrTemplate is wrapped by what is wrong with a template.
var ErrTemplate = errors.New("the node's block template is not usable")

// ErrSignet: blocks of this signet need somebody's signature.
var ErrSignet = errors.New("blocks of this signet must be signed with its challenge, which Ballast cannot")

// rawTemplate is the answer to getblocktemplate (BIP 22, 23, 145).
type rawTemplate struct {
	Version     *int64            `json:"version"`
	Rules       []string          `json:"rules"`
	VBRequired  int64             `json:"vbrequired"`
	Bits        string            `json:"bits"`
	Target      string            `json:"target"`
	CurTime     int64             `json:"curtime"`
	MinTime     int64             `json:"mintime"`
	MaxTime     int64             `json:"maxtime"`
	Previous    string            `json:"previousblockhash"`
	Height      int64             `json:"height"`
	Value       *int64            `json:"coinbasevalue"`
	Commitment  string            `json:"default_witness_commitment"`
	Aux         map[string]string `json:"coinbaseaux"`
	LongPollID  string            `json:"longpollid"`
	Challenge   string            `json:"signet_challenge"`
	Transaction []rawTransaction  `json:"transactions"`
}

type rawTransaction struct {
	Data hexBytes `json:"data"`
	TxID string   `json:"txid"`
	Hash string   `json:"hash"`
}

// hexBytes are bytes that travel as hex digits.
type hexBytes []byte

// UnmarshalJSON decodes without a text in between: templates hold megabytes.
func (h *hexBytes) UnmarshalJSON(b []byte) error {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return fmt.Errorf("%.20s is not a text of hex digits", b)
	}
	b = b[1 : len(b)-1]
	*h = make([]byte, hex.DecodedLen(len(b)))
	_, err := hex.Decode(*h, b)
	return err
}

// template is a block to be, checked.
type template struct {
	version, rollable uint32 // rollable: bits that the version leaves free
	bits              uint32
	target            hashengine.Target
	prev              hashengine.Hash
	height            int64
	valueSats         int64
	now, min, max     uint32 // times
	commitment        []byte // nil: the coinbase has no witness
	aux               []byte
	branches          []hashengine.Hash
	txs               *transactions
	longPollID        string
}

// transactions of a template behind the coinbase, in their order.
type transactions struct {
	hashes []hashengine.Hash // with witness, header order
	data   [][]byte

	mu     sync.Mutex
	digits []byte // all data in hex, nil when not needed soon
}

// hex are the digits of all transactions as they stand in a block. They are
// kept until forget, so that a block is on its way at once.
func (t *transactions) hex() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.digits == nil {
		size := 0
		for _, d := range t.data {
			size += len(d)
		}
		t.digits = make([]byte, 0, hex.EncodedLen(size))
		for _, d := range t.data {
			t.digits = hex.AppendEncode(t.digits, d)
		}
	}
	return t.digits
}

// forget the digits.
func (t *transactions) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.digits = nil
}

// maxAhead is how many seconds ahead of the node's clock a block's time may be
// rolled: half of what consensus allows, as the clocks of other nodes, which
// must take the block too, differ.
const maxAhead = 3600

// rulesKnown are the rules that a template may force on who mines ("!" before
// the name, BIP 9).
var rulesKnown = []string{"segwit", "signet", "csv", "taproot", "testdummy"}

// parseTemplate decodes and checks a template. Transactions that earlier, if
// not nil, has are shared with it instead of being checked and kept again.
func parseTemplate(raw []byte, earlier *transactions) (*template, error) {
	// Before room is made for what a hostile node lists. Besides each
	// transaction a few things only are in braces.
	if bytes.Count(raw, []byte("{")) > maxTransactions+100 || bytes.Count(raw, []byte(",")) > maxCommas {
		return nil, fmt.Errorf("%w: more than %d transactions do not fit into a block", ErrTemplate, maxTransactions)
	}
	var r rawTemplate
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	t, err := r.check(earlier)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return t, nil
}

func (r *rawTemplate) check(earlier *transactions) (*template, error) {
	t := &template{height: r.Height, longPollID: r.LongPollID}
	switch {
	case r.Version == nil || *r.Version < -1<<31 || *r.Version > 1<<32-1:
		return nil, errors.New("version is missing or does not fit into 32 bits")
	case r.Height < 1 || r.Height > maxHeight:
		return nil, fmt.Errorf("height %d is outside 1 to %d", r.Height, maxHeight)
	case r.Value == nil:
		return nil, errors.New("coinbasevalue is missing: the node must let the miner build the coinbase")
	case *r.Value < 0 || *r.Value > coinbase.MaxMoney:
		return nil, fmt.Errorf("coinbasevalue of %d satoshi", *r.Value)
	case len(r.LongPollID) > maxLongPollID:
		return nil, fmt.Errorf("longpollid of %d bytes, %d at most", len(r.LongPollID), maxLongPollID)
	case r.Challenge != "" && r.Challenge != opTrueChallenge:
		return nil, ErrSignet
	}
	t.version, t.valueSats = uint32(*r.Version), *r.Value
	t.rollable = hashengine.VersionRollingMask &^ t.version &^ uint32(r.VBRequired)
	for _, rule := range r.Rules {
		if name, forced := strings.CutPrefix(rule, "!"); forced && !slices.Contains(rulesKnown, name) {
			return nil, fmt.Errorf("the rule %.40q must be understood to mine, and is not known here", rule)
		}
	}
	if err := r.checkTarget(t); err != nil {
		return nil, err
	}
	if err := r.checkTimes(t); err != nil {
		return nil, err
	}
	var err error
	if t.prev, err = hashengine.ParseHash(r.Previous); err != nil {
		return nil, fmt.Errorf("previousblockhash: %w", err)
	}
	if t.aux, err = r.auxBytes(); err != nil {
		return nil, err
	}
	return t, r.checkTransactions(t, earlier)
}

func (r *rawTemplate) checkTarget(t *template) error {
	if len(r.Bits) < 1 || len(r.Bits) > 8 { // btcd drops leading zeros
		return fmt.Errorf("bits %.20q: want 8 hex digits", r.Bits)
	}
	bits, err := strconv.ParseUint(r.Bits, 16, 32)
	if err != nil {
		return fmt.Errorf("bits %q: want 8 hex digits", r.Bits)
	}
	t.bits = uint32(bits)
	if t.target, err = hashengine.TargetFromBits(t.bits); err != nil {
		return fmt.Errorf("bits %q: %w", r.Bits, err)
	}
	if whole, _, _ := strings.Cut(difficultyText(t.target), "."); len(whole) > wholeDigits {
		return fmt.Errorf("bits %q are a difficulty of more than %d digits, which nobody will ever meet", r.Bits, wholeDigits)
	}
	if r.Target == "" {
		return nil
	}
	target, err := hashengine.ParseTarget(r.Target)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	if target != t.target {
		return fmt.Errorf("target %s is not that of bits %s", target, r.Bits)
	}
	return nil
}

func (r *rawTemplate) checkTimes(t *template) error {
	const last = 1<<32 - 1
	if r.CurTime < 1 || r.CurTime > last || r.MinTime < 0 || r.MinTime > last || r.MaxTime < 0 || r.MaxTime > last {
		return fmt.Errorf("times %d, %d, %d (curtime, mintime, maxtime) do not fit into a header", r.CurTime, r.MinTime, r.MaxTime)
	}
	// A clock that is behind the chain's median time: the median rules.
	now := max(r.CurTime, r.MinTime)
	limit := min(now+maxAhead, last)
	if r.MaxTime != 0 {
		limit = min(limit, r.MaxTime)
	}
	if limit < now {
		return fmt.Errorf("maxtime %d is before curtime %d or mintime %d", r.MaxTime, r.CurTime, r.MinTime)
	}
	t.now, t.max = uint32(now), uint32(limit)
	if t.min = uint32(r.MinTime); r.MinTime == 0 {
		t.min = t.now
	}
	return nil
}

// auxBytes joins the coinbaseaux in the order of its keys.
func (r *rawTemplate) auxBytes() ([]byte, error) {
	keys := make([]string, 0, len(r.Aux))
	for k := range r.Aux {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var aux []byte
	for _, k := range keys {
		b, err := hex.DecodeString(r.Aux[k])
		if err != nil {
			return nil, fmt.Errorf("coinbaseaux %.20q: %w", k, err)
		}
		if aux = append(aux, b...); len(aux) > maxAuxBytes {
			return nil, fmt.Errorf("coinbaseaux of more than %d bytes", maxAuxBytes)
		}
	}
	return aux, nil
}

func (r *rawTemplate) checkTransactions(t *template, earlier *transactions) error {
	if len(r.Transaction) > maxTransactions {
		return fmt.Errorf("more than %d transactions do not fit into a block", maxTransactions)
	}
	known := earlier.byHash()
	txs := &transactions{}
	ids := make([]hashengine.Hash, 0, len(r.Transaction))
	size, witness := 0, false
	for i, raw := range r.Transaction {
		id, err := hashengine.ParseHash(raw.TxID)
		if err != nil {
			return fmt.Errorf("transactions[%d].txid: %w", i, err)
		}
		hash := id
		if raw.Hash != "" {
			if hash, err = hashengine.ParseHash(raw.Hash); err != nil {
				return fmt.Errorf("transactions[%d].hash: %w", i, err)
			}
		}
		data, ok := known[hash]
		if !ok || !bytes.Equal(data, raw.Data) {
			if data = raw.Data; hashengine.DoubleSHA256(data) != hash {
				return fmt.Errorf("transactions[%d]: its data do not have the hash %s", i, hash)
			}
		}
		if size += len(data); size > maxBlockBytes {
			return fmt.Errorf("transactions of more than %d bytes", maxBlockBytes)
		}
		witness = witness || hash != id
		ids = append(ids, id)
		txs.hashes, txs.data = append(txs.hashes, hash), append(txs.data, data)
	}
	t.txs, t.branches = txs, coinbase.Branches(ids)
	if r.Commitment == "" && !witness {
		return nil
	}
	t.commitment = coinbase.Commitment(txs.hashes)
	if r.Commitment == "" {
		return nil // btcd gives it only with witnesses, an old node never
	}
	given, err := hex.DecodeString(r.Commitment)
	switch {
	case err != nil:
		return fmt.Errorf("default_witness_commitment: %w", err)
	case len(given) == len(hashengine.Hash{}) && bytes.HasSuffix(t.commitment, given):
		return nil // btcd gives the hash alone, not the script
	case len(given) > 10_000 || !coinbase.IsCommitment(given):
		return errors.New("default_witness_commitment is not a commitment")
	case !bytes.HasPrefix(given, t.commitment):
		return errors.New("default_witness_commitment does not fit the transactions")
	}
	t.commitment = given
	return nil
}

// byHash finds data by hash with witness.
func (t *transactions) byHash() map[hashengine.Hash][]byte {
	if t == nil {
		return nil
	}
	m := make(map[hashengine.Hash][]byte, len(t.hashes))
	for i, h := range t.hashes {
		m[h] = t.data[i]
	}
	return m
}

// same reports whether the templates make the same block but for the time.
func (t *template) same(o *template) bool {
	return t.prev == o.prev && t.version == o.version && t.bits == o.bits && t.height == o.height && t.valueSats == o.valueSats &&
		slices.Equal(t.branches, o.branches) && bytes.Equal(t.commitment, o.commitment) && t.rollable == o.rollable
}
