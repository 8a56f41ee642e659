// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// phrase is how a fault reads in a scenario: who, then the words, with one
// value in the place of %s.
type phrase struct {
	kind  FaultKind
	point Point
	every bool
	words string
	write func(f *Fault) string
	read  func(f *Fault, s string) error
}

// phrases of all faults; where one begins like another, the longer comes first.
var phrases = []phrase{
	{kind: FaultLoses, words: "loses %s of its messages", write: writeShare, read: readShare},
	{kind: FaultRepeats, words: "repeats %s of its messages", write: writeShare, read: readShare},
	{kind: FaultDelays, words: "has messages delayed by %s", write: writeBy, read: readBy},
	{kind: FaultMixes, words: "has messages overtake each other within %s", write: writeBy, read: readBy},
	{kind: FaultCutOff, words: "is cut off"},
	{kind: FaultHeldUp, words: "is cut off and its messages come afterwards"},
	{kind: FaultOrphan, words: "is down while its machines hash on"},
	{kind: FaultCrash, point: PointNow, words: "is down and loses %s of its journal", write: writeBy, read: readBy},
	{kind: FaultCrash, point: PointNow, words: "is down"},
	{kind: FaultCrash, point: PointPublish, every: true, words: "crashes after every publish"},
	{kind: FaultCrash, point: PointAck, every: true, words: "crashes after every acknowledgement"},
	{kind: FaultCrash, point: PointSnapshot, every: true, words: "crashes after every snapshot"},
	{kind: FaultCrash, point: PointFold, every: true, words: "crashes between every fold and publish"},
	{kind: FaultCrash, point: PointPublish, words: "crashes after its next publish"},
	{kind: FaultCrash, point: PointAck, words: "crashes after its next acknowledgement"},
	{kind: FaultCrash, point: PointSnapshot, words: "crashes after its next snapshot"},
	{kind: FaultCrash, point: PointFold, words: "crashes between fold and publish"},
	{kind: FaultIgnores, words: "ignores its orders"},
	{kind: FaultIdle, words: "switches nothing and says it does"},
	{kind: FaultUnable, words: "cannot switch"},
	{kind: FaultSilent, words: "is silent"},
	{kind: FaultFrozen, words: "is frozen"},
	{kind: FaultNaN, words: "reads no number"},
	{kind: FaultNegative, words: "reads the wrong sign"},
	{kind: FaultThousand, words: "reads a thousandth"},
	{kind: FaultTimes, words: "reads a thousand times too much"},
	{kind: FaultSkewed, words: "is dated %s", write: writeSigned, read: readSigned},
	{kind: FaultClock, words: "has its clock %s", write: writeSigned, read: readSigned},
	{kind: FaultActivate, words: "decides"},
	{kind: FaultRestart, words: "restarts"},
}

// String is the fault as a scenario writes it.
func (f *Fault) String() string {
	what := string(f.Kind)
	for i := range phrases {
		p := &phrases[i]
		if p.kind != f.Kind || p.point != "" && p.point != f.Point || p.every != f.Every || f.Kind == FaultCrash && p.write != nil && f.By == 0 {
			continue
		}
		if what = p.words; p.write != nil {
			what = strings.Replace(p.words, "%s", p.write(f), 1)
		}
		break
	}
	return fmt.Sprintf("from %s to %s %s %s", f.At, f.Until, f.Who, what)
}

// readFault reads what follows the times: who, and the phrase.
func readFault(s string) (Fault, error) {
	who, rest, _ := strings.Cut(s, " ")
	for i := range phrases {
		p := &phrases[i]
		f := Fault{Kind: p.kind, Who: who, Point: p.point, Every: p.every}
		if f.Point == "" {
			f.Point = PointNow
		}
		before, after, valued := strings.Cut(p.words, "%s")
		if !valued {
			if rest == p.words {
				return f, nil
			}
			continue
		}
		value, ok := strings.CutPrefix(rest, before)
		if value, ok = cutSuffix(value, after, ok); !ok {
			continue
		}
		if err := p.read(&f, value); err != nil {
			return f, err
		}
		return f, nil
	}
	return Fault{}, fmt.Errorf("%q is nothing that happens to %s; see the documentation of package simulate", rest, who)
}

func cutSuffix(s, suffix string, ok bool) (string, bool) {
	if !ok {
		return s, false
	}
	return strings.CutSuffix(s, suffix)
}

func writeShare(f *Fault) string {
	return strconv.FormatFloat(float64(f.Thousandths)/10, 'f', -1, 64) + "%"
}

func readShare(f *Fault, s string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(n >= 0 && n <= 100) || !strings.HasSuffix(s, "%") {
		return fmt.Errorf("%q is no share such as 25%%", s)
	}
	f.Thousandths = int(n * 10)
	return nil
}

func writeBy(f *Fault) string { return f.By.String() }

func readBy(f *Fault, s string) (err error) {
	if f.By, err = time.ParseDuration(s); err != nil || f.By < 0 || f.By > maxLength {
		return fmt.Errorf("%q is no duration such as 1.5s", s)
	}
	return nil
}

func writeSigned(f *Fault) string {
	if f.By < 0 {
		return (-f.By).String() + " behind"
	}
	return f.By.String() + " ahead"
}

func readSigned(f *Fault, s string) error {
	value, way, _ := strings.Cut(s, " ")
	if err := readBy(f, value); err != nil {
		return err
	}
	switch way {
	case "ahead":
	case "behind":
		f.By = -f.By
	default:
		return fmt.Errorf("%q: say ahead or behind", s)
	}
	return nil
}
