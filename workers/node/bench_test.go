// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/ballast-energy/ballast/hashengine"
)

// fullTemplate is a template of a full block: 4,000 transactions of 400 bytes.
func fullTemplate(b *testing.B) []byte {
	b.Helper()
	m := goodTemplate()
	var txs []any
	for i := range 4000 {
		data := binary.BigEndian.AppendUint64(make([]byte, 392), uint64(i))
		hash := hashengine.DoubleSHA256(data).String()
		txs = append(txs, map[string]any{"data": fmt.Sprintf("%x", data), "txid": hash, "hash": hash, "depends": []int{}, "fee": 1000, "sigops": 4, "weight": 1600})
	}
	m["transactions"] = txs
	raw, err := json.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// BenchmarkTemplate is from a node's answer to a template checked: of a new
// block, and of the same transactions again.
func BenchmarkTemplate(b *testing.B) {
	raw := fullTemplate(b)
	t, err := parseTemplate(raw, nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, earlier := range map[string]*transactions{"new": nil, "known": t.txs} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := parseTemplate(raw, earlier); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBlock is from a share to what is written: with the transactions
// ready, and without.
func BenchmarkBlock(b *testing.B) {
	t, err := parseTemplate(fullTemplate(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	k := &block{head: make([]byte, 300), txs: t.txs}
	b.Run("ready", func(b *testing.B) {
		for b.Loop() {
			k.digits()
		}
	})
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			t.txs.forget()
			k.digits()
		}
	})
}
