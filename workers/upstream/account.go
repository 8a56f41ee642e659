// SPDX-License-Identifier: Apache-2.0

package upstream

import "fmt"

// AccountError is a pool that takes no shares of our account or worker:
// somebody has to look at the account, the name or the password. It is the
// cause of a session's end, or Trouble when no session came about.
type AccountError struct {
	// Address of the pool, without credentials: that of its sessions.
	Address string
	// Err is what it said, with the worker's name and no password.
	Err error
}

// Error implements error.
func (e *AccountError) Error() string { return fmt.Sprintf("pool %s %v", e.Address, e.Err) }

// Unwrap is what the pool said.
func (e *AccountError) Unwrap() error { return e.Err }
