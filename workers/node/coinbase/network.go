// SPDX-License-Identifier: Apache-2.0

package coinbase

import (
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/chaincfg/v2"

	"github.com/ballast-energy/ballast/hashengine"
)

// Network is a Bitcoin network.
type Network struct {
	// Name as Ballast writes it.
	Name string
	// Money: its coins are worth something.
	Money bool

	params *chaincfg.Params
}

// networks in the order of error messages.
var networks = []Network{
	{Name: "main", Money: true, params: &chaincfg.MainNetParams},
	{Name: "testnet3", params: &chaincfg.TestNet3Params},
	{Name: "testnet4", params: &chaincfg.TestNet4Params},
	{Name: "signet", params: &chaincfg.SigNetParams},
	{Name: "regtest", params: &chaincfg.RegressionNetParams},
	{Name: "simnet", params: &chaincfg.SimNetParams},
}

// NetworkNames are the names that NetworkByName takes.
func NetworkNames() []string {
	var names []string
	for _, n := range networks {
		names = append(names, n.Name)
	}
	return names
}

// NetworkByName finds a network.
func NetworkByName(name string) (Network, error) {
	for _, n := range networks {
		if n.Name == name {
			return n, nil
		}
	}
	return Network{}, fmt.Errorf("network %q is unknown; there are %s", name, strings.Join(NetworkNames(), ", "))
}

// Genesis is the hash of the network's first block: what tells networks apart.
func (n Network) Genesis() hashengine.Hash { return hashengine.Hash(*n.params.GenesisHash) }

// NameOfGenesis is the network that begins with the block, "" if none that is
// known here.
func NameOfGenesis(genesis hashengine.Hash) string {
	for _, n := range networks {
		if n.Genesis() == genesis {
			return n.Name
		}
	}
	return ""
}

// Subsidy of the block at the height, in satoshi.
func (n Network) Subsidy(height int64) int64 {
	halvings := height / int64(n.params.SubsidyReductionInterval)
	if height < 0 || halvings >= 64 {
		return 0
	}
	return 50e8 >> halvings
}
