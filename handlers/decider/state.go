// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"encoding/json"
	"fmt"
)

// stateEnvelope is the state of a decider and whose it is.
type stateEnvelope struct {
	Decider, Version, ConfigHash string
	State                        any
}

// EncodeState writes the state of a decider as JSON, with whose it is: for
// deciders whose whole state is plain data. Equal states give equal bytes.
func EncodeState(id Identity, state any) ([]byte, error) {
	b, err := json.Marshal(stateEnvelope{id.Name, id.Version, id.ConfigHash, state})
	if err != nil {
		return nil, fmt.Errorf("%s: encode snapshot: %w", id.Name, err)
	}
	return b, nil
}

// DecodeState reads what EncodeState wrote into state, a pointer. After an
// error, which is also that of a state of another decider, version or
// configuration, state holds anything.
func DecodeState(id Identity, b []byte, state any) error {
	s := stateEnvelope{State: state}
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%s: decode snapshot: %w", id.Name, err)
	}
	if s.Decider != id.Name || s.Version != id.Version || s.ConfigHash != id.ConfigHash {
		return fmt.Errorf("%s: snapshot is of %s version %s configuration %s, this is %s version %s configuration %s",
			id.Name, s.Decider, s.Version, s.ConfigHash, id.Name, id.Version, id.ConfigHash)
	}
	return nil
}
