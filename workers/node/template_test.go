// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
)

// goodTemplate as btcd gives it: without a commitment, with flags.
func goodTemplate() map[string]any {
	return map[string]any{
		"bits": "207fffff", "curtime": 1700000000, "height": 2, "previousblockhash": strings.Repeat("00", 31) + "aa", "version": 0x20000000,
		"transactions": []any{}, "coinbaseaux": map[string]string{"flags": "0b2f503253482f627463642f"}, "coinbasevalue": 5000000000,
		"longpollid": "x-1", "target": "7fffff" + strings.Repeat("00", 29), "maxtime": 1700007200, "mintime": 1600000000,
		"mutable": []string{"time", "transactions/add", "prevblock", "coinbase/append"}, "noncerange": "00000000ffffffff", "capabilities": []string{"proposal"},
	}
}

func encoded(t testing.TB, m map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTemplatesThatAreFine(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(map[string]any)
		check  func(*template) bool
	}{
		"plain":            {func(map[string]any) {}, func(p *template) bool { return p.commitment == nil && len(p.aux) == 12 && p.max == 1700003600 }},
		"no maxtime":       {func(m map[string]any) { delete(m, "maxtime") }, func(p *template) bool { return p.max == 1700003600 }},
		"near maxtime":     {func(m map[string]any) { m["maxtime"] = 1700000005 }, func(p *template) bool { return p.max == 1700000005 }},
		"clock behind":     {func(m map[string]any) { m["mintime"] = 1700007200 }, func(p *template) bool { return p.now == 1700007200 && p.min == p.now && p.max == p.now }},
		"no mintime":       {func(m map[string]any) { delete(m, "mintime") }, func(p *template) bool { return p.min == 1700000000 }},
		"signalling":       {func(m map[string]any) { m["version"] = 0x20004000 }, func(p *template) bool { return p.rollable == 0x1fffa000 }},
		"required":         {func(m map[string]any) { m["vbrequired"] = 0x2000 }, func(p *template) bool { return p.rollable == 0x1fffc000 }},
		"negative version": {func(m map[string]any) { m["version"] = -1 }, func(p *template) bool { return p.version == 1<<32-1 && p.rollable == 0 }},
		"known rules":      {func(m map[string]any) { m["rules"] = []string{"csv", "!segwit", "later"} }, func(p *template) bool { return true }},
		"open signet":      {func(m map[string]any) { m["signet_challenge"] = "51" }, func(p *template) bool { return true }},
		"no subsidy":       {func(m map[string]any) { m["coinbasevalue"] = 0 }, func(p *template) bool { return p.valueSats == 0 }},
		"commitment":       {func(m map[string]any) { m["default_witness_commitment"] = fmt.Sprintf("%x", coinbase.Commitment(nil)) }, func(p *template) bool { return len(p.commitment) == 38 }},
		"longer commitment": {func(m map[string]any) {
			m["default_witness_commitment"] = fmt.Sprintf("%x0151", coinbase.Commitment(nil))
		}, func(p *template) bool { return len(p.commitment) == 40 }},
		"bare commitment": {func(m map[string]any) {
			m["default_witness_commitment"] = fmt.Sprintf("%x", coinbase.Commitment(nil)[6:])
		}, func(p *template) bool { return len(p.commitment) == 38 }},
		"unknown fields": {func(m map[string]any) { m["new"] = map[string]any{"a": 1} }, func(p *template) bool { return true }},
	} {
		m := goodTemplate()
		tt.change(m)
		p, err := parseTemplate(encoded(t, m), nil)
		if err != nil || !tt.check(p) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

func TestTemplatesThatAreNot(t *testing.T) {
	zero := strings.Repeat("00", 32)
	tx := map[string]any{"data": "00", "txid": hashengine.DoubleSHA256([]byte{0}).String()}
	with := func(key string, value any) func(map[string]any) {
		return func(m map[string]any) { m[key] = value }
	}
	without := func(key string) func(map[string]any) { return func(m map[string]any) { delete(m, key) } }
	spoiled := func(key string, value any) func(map[string]any) {
		one := maps.Clone(tx)
		one[key] = value
		return with("transactions", []any{one})
	}
	if m := goodTemplate(); true {
		m["transactions"] = []any{tx}
		if _, err := parseTemplate(encoded(t, m), nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(map[string]any){
		"no version": without("version"), "version": with("version", 1<<33), "version as text": with("version", "2"), "fraction": with("version", 1.5),
		"no bits": without("bits"), "bits": with("bits", "xyz"), "long bits": with("bits", "00207fffff"), "bits as number": with("bits", 545259519),
		"negative bits": with("bits", "20ffffff"), "zero bits": with("bits", "20000000"), "overflowing bits": with("bits", "ff7fffff"), "bits that nobody meets": with("bits", "03000001"),
		"other target": with("target", strings.Repeat("ff", 32)), "zero target": with("target", zero), "short target": with("target", "7f"), "target as number": with("target", 1e300),
		"no time": without("curtime"), "negative time": with("curtime", -1), "huge time": with("curtime", 1<<32), "time 1e300": with("curtime", 1e300),
		"negative mintime": with("mintime", -5), "maxtime before": with("maxtime", 1600000000), "mintime beyond": with("mintime", 1<<33),
		"no previous": without("previousblockhash"), "previous": with("previousblockhash", "00"), "previous not hex": with("previousblockhash", strings.Repeat("zz", 32)),
		"no height": without("height"), "height 0": with("height", 0), "height -1": with("height", -1), "height 2^31": with("height", 1<<31),
		"no value": without("coinbasevalue"), "negative value": with("coinbasevalue", -1), "all money": with("coinbasevalue", 21e14+1), "value as text": with("coinbasevalue", "5"), "value 1e300": with("coinbasevalue", 1e300),
		"forced rule": with("rules", []string{"!future"}), "rules": with("rules", "segwit"),
		"signet": with("signet_challenge", "5121"), "aux": with("coinbaseaux", map[string]string{"flags": "x"}), "aux as text": with("coinbaseaux", "00"),
		"long aux": with("coinbaseaux", map[string]string{"flags": strings.Repeat("00", 5000)}), "longpollid": with("longpollid", strings.Repeat("x", 5000)),
		"transactions": with("transactions", "none"), "transaction": with("transactions", []any{1}), "null transaction": with("transactions", []any{nil}),
		"no data": spoiled("data", nil), "data as number": spoiled("data", 0), "odd data": spoiled("data", "0"), "other data": spoiled("data", "01"),
		"txid": spoiled("txid", "00"), "txid as number": spoiled("txid", 5), "hash": spoiled("hash", "00"), "other hash": spoiled("hash", zero),
		"commitment": with("default_witness_commitment", "00"), "other commitment": with("default_witness_commitment", "6a24aa21a9ed"+zero), "other bare commitment": with("default_witness_commitment", zero), "commitment not hex": with("default_witness_commitment", "zz"),
		"many transactions": with("transactions", make([]struct{}, maxTransactions+1)), "many zeros": with("transactions", make([]int, maxCommas+2)),
	} {
		m := goodTemplate()
		spoil(m)
		p, err := parseTemplate(encoded(t, m), nil)
		if !errors.Is(err, ErrTemplate) || p != nil {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
	for _, text := range []string{"", "null", "[]", "7", `"x"`, "{", strings.Repeat("[", 100_000)} {
		if _, err := parseTemplate([]byte(text), nil); !errors.Is(err, ErrTemplate) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestTransactionsAreShared(t *testing.T) {
	m := goodTemplate()
	m["transactions"] = []any{map[string]any{"data": "00", "txid": hashengine.DoubleSHA256([]byte{0}).String()}}
	first, err := parseTemplate(encoded(t, m), nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := parseTemplate(encoded(t, m), first.txs)
	if err != nil {
		t.Fatal(err)
	}
	if &first.txs.data[0][0] != &second.txs.data[0][0] {
		t.Error("the same transaction is kept twice")
	}
	// What a node says of a transaction that is known is not believed either.
	m["transactions"].([]any)[0].(map[string]any)["data"] = "01"
	if _, err := parseTemplate(encoded(t, m), first.txs); !errors.Is(err, ErrTemplate) {
		t.Errorf("%v", err)
	}
}

func TestDifficultyText(t *testing.T) {
	for bits, want := range map[uint32]string{
		0x1d00ffff: "1",
		0x1b0404cb: "16307.420938523983", 0x17034219: "86388558925171.0117", 0x1702068f: "138955357012247.297", 0x207fffff: "0.0000000004656542373",
	} {
		target, err := hashengine.TargetFromBits(bits)
		if err != nil {
			t.Fatal(err)
		}
		text := difficultyText(target)
		if !strings.HasPrefix(text, want) {
			t.Errorf("%08x: %s, want %s…", bits, text, want)
		}
		whole, fraction, _ := strings.Cut(text, ".")
		if len(whole) > 30 || len(fraction) > 30 {
			t.Errorf("%08x: %s is too long", bits, text)
		}
		got, err := hashengine.TargetFromDifficultyText(text)
		if err != nil {
			t.Fatal(err)
		}
		lost := new(big.Int).Sub(target.Int(), got.Int())
		if lost.Sign() < 0 {
			t.Errorf("%08x: the target of %s is above the network's", bits, text)
		}
		if lost.Mul(lost, new(big.Int).Exp(big.NewInt(10), big.NewInt(20), nil)); lost.Cmp(target.Int()) >= 0 {
			t.Errorf("%08x: %s loses more than one part in 10^20", bits, text)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add(encoded(f, goodTemplate()))
	m := goodTemplate()
	m["default_witness_commitment"] = fmt.Sprintf("%x", coinbase.Commitment(nil))
	m["transactions"] = []any{map[string]any{"data": "00", "txid": hashengine.DoubleSHA256([]byte{0}).String(), "hash": hashengine.DoubleSHA256([]byte{0}).String()}}
	f.Add(encoded(f, m))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parseTemplate(raw, nil)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		if err != nil {
			return
		}
		if p.min > p.now || p.now > p.max || p.rollable&^hashengine.VersionRollingMask != 0 || p.rollable&p.version != 0 {
			t.Errorf("%+v", p)
		}
		if got, err := hashengine.TargetFromDifficultyText(difficultyText(p.target)); err != nil || got.Int().Cmp(p.target.Int()) > 0 {
			t.Errorf("difficulty of %s: %s, %v", p.target, got, err)
		}
		if _, err := coinbase.Build(coinbase.Spec{Height: p.height, ValueSats: p.valueSats, Payout: make([]byte, 22), Commitment: p.commitment, Aux: p.aux, Tag: "x", Extranonce1Bytes: 12, Extranonce2Bytes: 8}); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	})
}

func FuzzWords(f *testing.F) {
	f.Add("duplicate")
	f.Add("rejected: already have block")
	f.Fuzz(func(t *testing.T, words string) {
		if a := classify(words); a.state == silent || a.state == refused && a.reason == "" {
			t.Errorf("%q: %+v", words, a)
		}
	})
}
