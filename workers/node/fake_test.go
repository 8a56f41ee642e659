// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/rpc"
)

const regtestAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

// fake is a node that does what a test's script says, over real HTTP.
type fake struct {
	t   *testing.T
	srv *httptest.Server

	mu        sync.Mutex
	changed   chan struct{}
	genesis   string
	template  map[string]any
	best      string         // of getbestblockhash; "" for the template's previous block
	raw       map[string]any // whole answers instead: a string as body, or *refusal
	submitted []string
	calls     map[string]int
	requests  map[string]json.RawMessage // last parameters
	chain     map[string]int64           // confirmations by hash
	height    int64
}

// refusal is an error of the node's own.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// hang is an answer that never comes.
type hang struct{}

func newFake(t *testing.T) *fake {
	t.Helper()
	n, err := coinbase.NetworkByName("regtest")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, changed: make(chan struct{}), genesis: n.Genesis().String(), raw: map[string]any{}, calls: map[string]int{}, requests: map[string]json.RawMessage{}, chain: map[string]int64{}}
	f.template = template(1, n.Genesis().String())
	f.srv = httptest.NewServer(f)
	t.Cleanup(func() {
		f.srv.CloseClientConnections()
		f.srv.Close()
	})
	return f
}

// template as Bitcoin Core gives it on regtest.
func template(height int64, previous string) map[string]any {
	return map[string]any{
		"capabilities": []string{"proposal"}, "version": 0x20000000, "rules": []string{"csv", "!segwit", "taproot"}, "vbavailable": map[string]int{}, "vbrequired": 0,
		"previousblockhash": previous, "transactions": []any{}, "coinbaseaux": map[string]string{}, "coinbasevalue": 5000000000,
		"longpollid": fmt.Sprintf("%s%d", previous, height), "target": "7fffff0000000000000000000000000000000000000000000000000000000000",
		"mintime": 1296688603, "mutable": []string{"time", "transactions", "prevblock"}, "noncerange": "00000000ffffffff",
		"sigoplimit": 80000, "sizelimit": 4000000, "weightlimit": 4000000, "curtime": 1700000000, "bits": "207fffff", "height": height,
		"default_witness_commitment": "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9",
	}
}

// blockHash is some hash that stands for a block.
func blockHash(n int) string { return hashengine.DoubleSHA256([]byte(fmt.Sprint(n))).String() }

func (f *fake) endpoint() rpc.Endpoint { return rpc.Endpoint{URL: f.srv.URL} }

// set changes the script.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		JSONRPC string            `json:"jsonrpc"`
		ID      int64             `json:"id"`
		Method  string            `json:"method"`
		Params  []json.RawMessage `json:"params"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return // who asks has gone; a bad request shows as an answer missing
	}
	answer := f.answer(r, q.Method, q.Params)
	switch a := answer.(type) {
	case hang:
		<-r.Context().Done()
		return
	case rawBody:
		io.WriteString(w, string(a))
		return
	case *refusal:
		w.WriteHeader(500)
		json.NewEncoder(w).Encode(map[string]any{"result": nil, "error": a, "id": q.ID})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"result": answer, "error": nil, "id": q.ID})
}

// rawBody is a whole HTTP body.
type rawBody string

func (f *fake) answer(r *http.Request, method string, params []json.RawMessage) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
	if len(params) > 0 {
		f.requests[method] = params[0]
	}
	// A parked call waits for another template.
	if method == "getblocktemplate" {
		var q struct {
			LongPollID string `json:"longpollid"`
		}
		_ = json.Unmarshal(params[0], &q)
		for q.LongPollID != "" && q.LongPollID == f.template["longpollid"] && f.raw["longpoll"] == nil {
			changed := f.changed
			f.mu.Unlock()
			select {
			case <-changed:
			case <-r.Context().Done():
			}
			f.mu.Lock()
			if r.Context().Err() != nil {
				return hang{}
			}
		}
		if q.LongPollID != "" && f.raw["longpoll"] != nil {
			return f.raw["longpoll"]
		}
	}
	if a, ok := f.raw[method]; ok {
		return a
	}
	switch method {
	case "getblockhash":
		return f.genesis
	case "getbestblockhash":
		if f.best != "" {
			return f.best
		}
		return f.template["previousblockhash"]
	case "getblockcount":
		return f.height
	case "getblocktemplate":
		return maps.Clone(f.template)
	case "submitblock":
		var text string
		_ = json.Unmarshal(params[0], &text)
		f.submitted = append(f.submitted, text)
		var h hashengine.Header
		if parsed, err := hashengine.ParseHeader(text[:160]); err == nil {
			h = parsed
			f.chain[h.Hash().String()] = 1
		}
		return nil
	case "getblockheader":
		var hash string
		_ = json.Unmarshal(params[0], &hash)
		c, ok := f.chain[hash]
		if !ok {
			return &refusal{-5, "Block not found"}
		}
		return map[string]any{"hash": hash, "confirmations": c}
	}
	return &refusal{-32601, "Method not found"}
}

func config(fakes ...*fake) node.Config {
	c := node.Config{ID: "solo", Network: "regtest", Address: regtestAddress, Tag: "/Ballast/", ExtranoncePrefix: []byte{1, 2}, Refresh: time.Hour}
	for _, f := range fakes {
		c.Nodes = append(c.Nodes, f.endpoint())
	}
	return c
}

func newNode(t *testing.T, c node.Config) *node.Node {
	t.Helper()
	n, err := node.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// someTransaction is a transaction with a witness, its id and its hash.
func someTransaction(t *testing.T) map[string]any {
	t.Helper()
	parts, err := coinbase.Build(coinbase.Spec{Height: 5, ValueSats: 1, Payout: []byte{0x51}, Extranonce2Bytes: 8})
	if err != nil {
		t.Fatal(err)
	}
	bare := parts.Transaction(nil, []byte("whatever"))
	full, err := coinbase.WithWitness(bare)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"data": fmt.Sprintf("%x", full), "txid": hashengine.DoubleSHA256(bare).String(), "hash": hashengine.DoubleSHA256(full).String(), "fee": 100, "depends": []int{}, "sigops": 1, "weight": 500}
}
