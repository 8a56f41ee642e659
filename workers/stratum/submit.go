// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"fmt"
	"strconv"
)

// MaxExtranonce2 is the most bytes that a machine may choose: what a job on the
// bus may ask for. MaxExtranonce1 is the most that a pool may fix.
const (
	MaxExtranonce2 = 32
	MaxExtranonce1 = 32
)

// maxWorker is the longest name of a worker, bytes.
const maxWorker = 512

// Submit (mining.submit) is a share. Use one again and again: Parse does not
// allocate.
type Submit struct {
	// Worker that authorised, and JobID; both alias the params.
	Worker, JobID []byte
	// Extranonce2 as it came, of any length up to MaxExtranonce2; valid until
	// the next Parse.
	Extranonce2 []byte
	// NTime and Nonce of the header.
	NTime, Nonce uint32
	// VersionBits that were rolled, when Rolled: the sixth param was there.
	VersionBits uint32
	Rolled      bool

	room [MaxExtranonce2]byte
}

// Parse reads the params of mining.submit. An error is for the machine, with
// CodeOther; the fields are then not to be used.
func (s *Submit) Parse(params []byte) error {
	if err := s.parse(params); err != nil {
		return paramError(MethodSubmit, err)
	}
	return nil
}

func (s *Submit) parse(params []byte) error {
	var room [6][]byte
	p, count, err := elements(params, room[:0])
	if err != nil {
		return err
	}
	if count < 5 {
		return tooFew(count, 5)
	}
	var ok bool
	if s.Worker, ok = text(p[0]); !ok || len(s.Worker) > maxWorker {
		return fmt.Errorf("worker: %s is not a text of at most %d characters", clip(p[0]), maxWorker)
	}
	if s.JobID, ok = text(p[1]); !ok || len(s.JobID) > MaxJobID {
		return fmt.Errorf("job id: %s is not a text of at most %d characters", clip(p[1]), MaxJobID)
	}
	if s.Extranonce2, err = hexBytes(s.room[:0], p[2], "extranonce2", 0, MaxExtranonce2); err != nil {
		return err
	}
	if s.NTime, err = word(p[3], "ntime"); err != nil {
		return err
	}
	if s.Nonce, err = word(p[4], "nonce"); err != nil {
		return err
	}
	s.VersionBits, s.Rolled = 0, false
	if len(p) == 6 && !isNull(p[5]) {
		if s.VersionBits, err = word(p[5], "version bits"); err != nil {
			return err
		}
		s.Rolled = true
	}
	return nil
}

// AppendSubmit writes a share as a request. The version bits are written when
// rolled is set, which is whenever version rolling was agreed.
func AppendSubmit(b []byte, id uint64, worker, jobID string, extranonce2 []byte, ntime, nonce uint32, rolled bool, versionBits uint32) []byte {
	b = appendRequest(b, id, MethodSubmit)
	b = appendString(b, worker)
	b = append(b, ',')
	b = appendString(b, jobID)
	b = append(b, `,"`...)
	b = appendHex(b, extranonce2)
	b = append(b, `","`...)
	b = appendWord(b, ntime)
	b = append(b, `","`...)
	b = appendWord(b, nonce)
	b = append(b, '"')
	if rolled {
		b = append(b, `,"`...)
		b = appendWord(b, versionBits)
		b = append(b, '"')
	}
	return append(b, "]}\n"...)
}

// AppendTrue writes the reply true: the share, or whatever was asked, is taken.
func AppendTrue(b, id []byte) []byte { return AppendResult(b, id, "true") }

// AppendResult writes a reply with a result, which is JSON text. id is the
// request's as it came.
func AppendResult(b, id []byte, result string) []byte {
	b = appendReply(b, id)
	b = append(b, `"result":`...)
	b = append(b, result...)
	return append(b, `,"error":null}`+"\n"...)
}

// AppendError writes a reply with an error.
func AppendError(b, id []byte, code int, words string) []byte {
	b = appendReply(b, id)
	b = append(b, `"result":null,"error":[`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ',')
	b = appendString(b, words)
	return append(b, ",null]}\n"...)
}

func appendReply(b, id []byte) []byte {
	b = append(b, `{"id":`...)
	if len(id) == 0 {
		b = append(b, "null"...)
	} else {
		b = append(b, id...)
	}
	return append(b, ',')
}

// appendRequest writes a request up to and with the bracket of its params.
func appendRequest(b []byte, id uint64, method string) []byte {
	b = append(b, `{"id":`...)
	b = strconv.AppendUint(b, id, 10)
	b = append(b, `,"method":"`...)
	b = append(b, method...)
	return append(b, `","params":[`...)
}

// appendNotification is appendRequest without an id.
func appendNotification(b []byte, method string) []byte {
	b = append(b, `{"id":null,"method":"`...)
	b = append(b, method...)
	return append(b, `","params":[`...)
}

// appendString writes a JSON text. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < 0x20 || c == 0x7f:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, string(c)...)
		}
	}
	return append(b, '"')
}
