// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"errors"
	"fmt"
	"net/http"
)

// Codes of errors that callers tell apart. Bitcoin Core and btcd agree on them.
const (
	CodeNotFound      = -5     // no such block or transaction
	CodeParameter     = -8     // getblocktemplate: wrong rules
	CodeNotConnected  = -9     // no peers
	CodeDownloading   = -10    // still loading the chain
	CodeUndecodable   = -22    // a block that cannot be decoded
	CodeWarmingUp     = -28    // the node has just started
	CodeInternal      = -32603 // btcd: also what it has no code for
	CodeUnknownMethod = -32601
)

// Errors of a call. They are wrapped with the method and the endpoint.
var (
	// ErrUnauthorized: the credentials are refused.
	ErrUnauthorized = errors.New("the node refuses the user or password")
	// ErrForbidden: the node lets in no one from this address.
	ErrForbidden = errors.New("the node does not allow calls from this address (rpcallowip)")
	// ErrBusy: the node has too many calls waiting.
	ErrBusy = errors.New("the node is busy (rpcworkqueue)")
	// ErrEmpty: an answer without a body.
	ErrEmpty = errors.New("empty answer")
	// ErrTooLarge: an answer beyond the bound.
	ErrTooLarge = errors.New("answer is too large")
	// ErrNotRPC: an answer that is not JSON-RPC.
	ErrNotRPC = errors.New("answer is not JSON-RPC; is this the RPC port of a node?")
	// ErrResult: a result of another shape than the method's.
	ErrResult = errors.New("result has not the form that the method has")
)

// Error is what the node itself said.
type Error struct {
	// Code and Message, the node's own.
	Code    int64
	Message string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("node says %d: %s", e.Code, e.Message) }

// NotReady reports whether the node says that it cannot mine yet: no peers,
// still downloading, just started.
func NotReady(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Code == CodeNotConnected || e.Code == CodeDownloading || e.Code == CodeWarmingUp)
}

// statusError says what an answer without JSON in it means.
func statusError(status int) error {
	switch status {
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return ErrBusy
	case http.StatusOK:
		return nil
	default:
		return fmt.Errorf("%w (HTTP %d %s)", ErrNotRPC, status, http.StatusText(status))
	}
}
