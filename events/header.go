// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// checkEnvelope reports what a publisher may not put into an envelope.
func checkEnvelope(m *Meta) error {
	for _, f := range [...]struct{ name, id string }{
		{HeaderCEID, m.ID}, {HeaderCausation, m.Causation}, {HeaderCorrelation, m.Correlation},
	} {
		if f.id == "" {
			continue
		}
		if err := CheckEventID(f.id); err != nil {
			return fmt.Errorf("header %s: %w", f.name, err)
		}
	}
	if !m.Time.IsZero() {
		if y := m.Time.UTC().Year(); y < 1000 || y > 9999 {
			return fmt.Errorf("header %s: year %d is outside 1000 to 9999", HeaderCETime, y)
		}
	}
	return nil
}

// readEnvelope takes the envelope from headers, all of them optional.
func readEnvelope(h nats.Header, m *Meta) error {
	if len(h) == 0 {
		return nil
	}
	// Looked up by name, not walked: a map has no order, and which of two
	// faults is reported must not depend on it.
	for _, name := range [...]string{HeaderCEID, HeaderMsgID, HeaderCETime, HeaderCausation,
		HeaderCorrelation, HeaderOrigin, HeaderOriginTime} {
		if v := h[name]; len(v) > 0 && v[0] != "" {
			if err := takeHeader(m, name, v[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeHeader puts one header into the envelope. Headers that an event does not
// need are ignored.
func takeHeader(m *Meta, name, value string) (err error) {
	switch name {
	case HeaderCEID:
		m.ID, err = value, CheckEventID(value)
	case HeaderMsgID:
		if m.ID == "" {
			m.ID, err = value, CheckEventID(value)
		}
	case HeaderCausation:
		m.Causation, err = value, CheckEventID(value)
	case HeaderCorrelation:
		m.Correlation, err = value, CheckEventID(value)
	case HeaderCETime, HeaderOriginTime:
		return takeHeaderTime(m, name, []byte(value))
	case HeaderOrigin:
		stream, seq, ok := strings.Cut(value, "/")
		n, bad := strconv.ParseUint(seq, 10, 64)
		if !ok || stream == "" || bad != nil {
			err = fmt.Errorf("%s is not <stream>/<sequence>", quote(value))
		}
		m.OriginStream, m.OriginSequence = stream, n
	}
	if err != nil {
		return fmt.Errorf("header %s: %w", name, err)
	}
	return nil
}

func takeHeaderTime(m *Meta, name string, value []byte) error {
	t, err := parseTime(value)
	if err != nil {
		return fmt.Errorf("header %s: %w", name, err)
	}
	if name == HeaderCETime {
		m.Time = t
	} else {
		m.OriginArrived = t
	}
	return nil
}

var (
	headerLine = []byte("NATS/1.0")
	newLine    = []byte("\r\n")
)

// readRawEnvelope takes the envelope from a header block as it stands on the
// wire. The first of several headers of one name counts, as in readEnvelope.
func readRawEnvelope(block []byte, m *Meta) error {
	if len(block) == 0 {
		return nil
	}
	first, rest, ok := bytes.Cut(block, newLine)
	if !ok || !bytes.HasPrefix(first, headerLine) {
		return fmt.Errorf("the header block does not begin with %s", headerLine)
	}
	var seen [7]bool
	msgID := ""
	for {
		var line []byte
		if line, rest, ok = bytes.Cut(rest, newLine); !ok || len(line) == 0 {
			break
		}
		i := bytes.IndexByte(line, ':')
		if i <= 0 {
			return fmt.Errorf("the header line %s has no name", quote(string(line)))
		}
		name, slot := knownHeader(line[:i])
		if slot < 0 || seen[slot] {
			continue
		}
		seen[slot] = true
		value := bytes.Trim(line[i+1:], " \t")
		if len(value) == 0 {
			continue
		}
		if name == HeaderCETime || name == HeaderOriginTime {
			if err := takeHeaderTime(m, name, value); err != nil {
				return err
			}
			continue
		}
		if name == HeaderMsgID {
			// ce-id goes before it, wherever it stands.
			msgID = string(value)
			continue
		}
		if err := takeHeader(m, name, string(value)); err != nil {
			return err
		}
	}
	if msgID != "" {
		return takeHeader(m, HeaderMsgID, msgID)
	}
	return nil
}

// knownHeader names the header that an envelope needs, and its place.
func knownHeader(name []byte) (string, int) {
	switch string(name) {
	case HeaderCEID:
		return HeaderCEID, 0
	case HeaderMsgID:
		return HeaderMsgID, 1
	case HeaderCETime:
		return HeaderCETime, 2
	case HeaderCausation:
		return HeaderCausation, 3
	case HeaderCorrelation:
		return HeaderCorrelation, 4
	case HeaderOrigin:
		return HeaderOrigin, 5
	case HeaderOriginTime:
		return HeaderOriginTime, 6
	}
	return "", -1
}

// DefaultID is the id of an event whose publisher gave none.
func DefaultID(stream string, epoch, sequence uint64) string {
	return stream + ":" + strconv.FormatUint(epoch, 10) + ":" + strconv.FormatUint(sequence, 10)
}
