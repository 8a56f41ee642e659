// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events/bus/bustest"
	"github.com/ballast-energy/ballast/workers/node/rpc"
)

// What the nodes are.
const (
	// Network of the nodes.
	Network = "simnet"
	// Address of the network that blocks of the tests can pay.
	Address = "sb1qw508d6qejxtdg4y5r3zarvary0c5xw7krxe8se"
	// GeneratedAddress is what blocks of the node's own pay.
	GeneratedAddress = "sb1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq2cwzcu"

	user     = "tester"
	password = "p@ss/word:1"
)

// BTCD is a running btcd.
type BTCD struct {
	t      testing.TB
	dir    string
	listen string // of peers
	rpc    string
	client *rpc.Client
	cmd    *exec.Cmd
	log    *os.File
	ended  chan struct{} // closed when the process is gone
}

// Start starts a node with an empty chain. The test is skipped, with a message,
// if btcd cannot be built, and fails if it does not start.
func Start(t testing.TB) *BTCD {
	t.Helper()
	if _, err := Binary(); err != nil {
		t.Skipf("SKIPPED: no real node to test against: %v", err)
	}
	b := &BTCD{t: t, dir: t.TempDir()}
	var err error
	for range 3 { // somebody else may take a port before btcd does
		b.listen, b.rpc = bustest.FreeAddress(t), bustest.FreeAddress(t)
		if b.client, err = rpc.NewClient(b.Endpoint()); err != nil {
			t.Fatal(err)
		}
		if err = b.start(); err == nil {
			break
		}
		b.client.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Stop()
		b.client.Close()
	})
	return b
}

// Endpoint of the node's RPC, with credentials.
func (b *BTCD) Endpoint() rpc.Endpoint {
	return rpc.Endpoint{URL: "http://" + b.rpc, User: user, Password: password}
}

// URL of the node's RPC with credentials, as ParseEndpoint reads it.
func (b *BTCD) URL() string {
	return "http://" + user + ":p%40ss%2Fword%3A1@" + b.rpc
}

// Client that calls the node.
func (b *BTCD) Client() *rpc.Client { return b.client }

// startTimeout is how long a node may take to answer.
const startTimeout = 60 * time.Second

func (b *BTCD) start() error {
	binary, err := Binary()
	if err != nil {
		return err
	}
	b.log, err = os.OpenFile(filepath.Join(b.dir, "output"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	b.cmd = exec.Command(binary, "--configfile="+os.DevNull, "--datadir="+filepath.Join(b.dir, "data"), "--logdir="+filepath.Join(b.dir, "logs"),
		"--simnet", "--notls", "--nodnsseed", "--txindex", "--listen="+b.listen, "--rpclisten="+b.rpc,
		"--rpcuser="+user, "--rpcpass="+password, "--miningaddr="+GeneratedAddress)
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	if err := b.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	b.ended = ended
	go func() {
		defer close(ended)
		_ = b.cmd.Wait() // how it ends does not matter: tests kill it, too
	}()
	deadline := time.After(startTimeout)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		var count int64
		err := b.client.Call(ctx, "getblockcount", nil, &count)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			out, _ := os.ReadFile(b.log.Name())
			return fmt.Errorf("btcd has ended at once: %.2000s", out)
		case <-deadline:
			b.Kill()
			return fmt.Errorf("btcd does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the node in good order, and returns when it is gone. Its data stay.
func (b *BTCD) Stop() {
	select {
	case <-b.ended:
	default:
		// A signal is not known everywhere, "stop" is.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := b.client.Call(ctx, "stop", nil, nil)
		cancel()
		if err != nil {
			_ = b.cmd.Process.Kill() // it may have gone meanwhile
		}
		select {
		case <-b.ended:
		case <-time.After(30 * time.Second):
			_ = b.cmd.Process.Kill() // as above
			<-b.ended
		}
	}
	b.log.Close()
}

// Kill ends the node as a power failure does.
func (b *BTCD) Kill() {
	_ = b.cmd.Process.Kill() // it may have gone already
	<-b.ended
	b.log.Close()
}

// Restart starts the node again after Stop or Kill, with the same data.
func (b *BTCD) Restart() {
	b.t.Helper()
	if err := b.start(); err != nil {
		b.t.Fatal(err)
	}
}

// Call calls the node, and fails the test if it cannot.
func (b *BTCD) Call(result any, method string, params ...any) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := b.client.Call(ctx, method, params, result); err != nil {
		b.t.Fatal(err)
	}
}

// Generate mines blocks of the node's own and returns their hashes.
func (b *BTCD) Generate(blocks int) []string {
	b.t.Helper()
	var hashes []string
	b.Call(&hashes, "generate", blocks)
	return hashes
}

// Best is height and hash of the best block.
func (b *BTCD) Best() (height int64, hash string) {
	b.t.Helper()
	var best struct {
		Height int64  `json:"height"`
		Hash   string `json:"hash"`
	}
	b.Call(&best, "getbestblock")
	return best.Height, best.Hash
}

// Hash of the block at the height of the best chain.
func (b *BTCD) Hash(height int64) string {
	b.t.Helper()
	var hash string
	b.Call(&hash, "getblockhash", height)
	return hash
}

// Block as bytes, in hex.
func (b *BTCD) Block(hash string) string {
	b.t.Helper()
	var block string
	b.Call(&block, "getblock", hash, 0)
	return block
}
