// SPDX-License-Identifier: Apache-2.0

package coinbase

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2"
)

// ErrAddress is wrapped by what PayoutScript refuses.
var ErrAddress = errors.New("cannot pay to this address")

// Opcodes that outputs are made of.
const (
	op0           = 0x00
	op1           = 0x51
	opReturn      = 0x6a
	opDup         = 0x76
	opEqual       = 0x87
	opEqualVerify = 0x88
	opHash160     = 0xa9
	opCheckSig    = 0xac
)

// PayoutScript is the output script that pays the address. An address of
// another network is refused, and so is everything that is not an address of
// somebody's: public keys, and forms that everybody can spend. The networks
// for tests share address forms (testnet3, testnet4 and signet all of them,
// regtest the old ones): they cannot be told apart by the address.
func (n Network) PayoutScript(text string) ([]byte, error) {
	fail := func(why string) ([]byte, error) {
		return nil, fmt.Errorf("%w: %.100q: %s", ErrAddress, text, why)
	}
	if text == "" {
		return fail("it is empty")
	}
	if len(text) > 90 { // BIP 173
		return fail("it is too long for an address")
	}
	a, err := address.DecodeAddress(text, n.params)
	if err != nil {
		if other := n.other(text); other != "" {
			return fail(fmt.Sprintf("it is of the network %s, and this is %s", other, n.Name))
		}
		return fail(err.Error())
	}
	if !a.IsForNet(n.params) {
		other := n.other(text)
		if other == "" {
			other = "another network"
		}
		return fail(fmt.Sprintf("it is of the network %s, and this is %s", other, n.Name))
	}
	// The decoder takes some forms for others (a version 1 program of 20
	// bytes): what it has understood must be what was written.
	if back := a.EncodeAddress(); back != text && back != strings.ToLower(text) {
		return fail("it is of a kind that is not known")
	}
	program := a.ScriptAddress()
	switch a.(type) {
	case *address.AddressPubKeyHash:
		return append(append([]byte{opDup, opHash160, 20}, program...), opEqualVerify, opCheckSig), nil
	case *address.AddressScriptHash:
		return append(append([]byte{opHash160, 20}, program...), opEqual), nil
	case *address.AddressWitnessPubKeyHash, *address.AddressWitnessScriptHash:
		return append([]byte{op0, byte(len(program))}, program...), nil
	case *address.AddressTaproot:
		return append([]byte{op1, byte(len(program))}, program...), nil
	default:
		return fail("nobody in particular could spend it, or it is a bare public key")
	}
}

// other network that the address is of, "" if none.
func (n Network) other(text string) string {
	for _, o := range networks {
		if o.Name == n.Name {
			continue
		}
		if a, err := address.DecodeAddress(text, o.params); err == nil && a.IsForNet(o.params) {
			return o.Name
		}
	}
	return ""
}
