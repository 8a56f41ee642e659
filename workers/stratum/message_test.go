// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestKindAndEcho(t *testing.T) {
	for _, c := range []struct {
		line string
		kind Kind
		id   string
	}{
		{`{"id":1,"method":"mining.submit","params":[]}`, Request, `1`},
		{`{"id":"a\"b","method":"x"}`, Request, `"a\"b"`},
		{`{"id":1.5e3,"method":"x"}`, Request, `1.5e3`},
		{`{"id":{"n":[1, 2]},"method":"x"}`, Request, `{"n":[1, 2]}`},
		{`{"id":false,"method":"x"}`, Request, `false`},
		{`{"id":null,"method":"x"}`, Notification, ``},
		{`{"method":"x"}`, Notification, ``},
		{`{"method":"x","method":"y","id":1,"id":null}`, Notification, ``},
		{`{"id":4,"result":true,"error":null}`, Reply, `4`},
		{`{"id":4,"method":null,"result":true}`, Reply, `4`},
		{`{"id":null,"result":null,"error":[-32700,"Parse error",null]}`, Reply, ``},
	} {
		m := parse(t, c.line)
		if m.Kind() != c.kind || string(m.ID) != c.id {
			t.Errorf("%s: kind %d, id %s", c.line, m.Kind(), m.ID)
		}
		echo := parse(t, string(AppendTrue(nil, m.ID)))
		if !bytes.Equal(echo.ID, m.ID) {
			t.Errorf("%s: echoed as %s", c.line, echo.ID)
		}
	}
	if m := parse(t, `{"\u0069d":3,"\u006dethod":"mining.\u0073ubmit"}`); m.Method != MethodSubmit || string(m.ID) != "3" {
		t.Errorf("escapes: %+v", m)
	}
}

func TestMalformed(t *testing.T) {
	for _, line := range []string{
		``, `{`, `{}{`, `{"id":1}{}`, `[]`, `nul`, `{"id":}`, `{"id":1,}`, `{id:1}`, `{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1e}`, `{"a":NaN}`,
		`{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"` + "\n" + `"}`, `{"a":"`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":tru}`, `{"method":5}`, `{"method":""}`, `{"method":[]}`,
		`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, `{"a":` + strings.Repeat("[", 60000),
		strings.Repeat(`{"a":`, 10000),
	} {
		var m Message
		err := ParseMessage([]byte(line), &m)
		if err == nil || !Recoverable(err) {
			t.Errorf("%.80q: %v", line, err)
		} else if len(err.Error()) > 400 {
			t.Errorf("%.80q: the error is %d long", line, len(err.Error()))
		}
	}
}

func TestErrorsInEveryShape(t *testing.T) {
	for _, c := range []struct {
		line string
		code int
		text string
	}{
		{`{"id":1,"result":null,"error":[21,"Job not found",null]}`, 21, "Job not found"},
		{`{"id":1,"result":false,"error":[23,"Above target","extra"]}`, 23, "Above target"},
		{`{"id":1,"error":[22,"Duplicate share"]}`, 22, "Duplicate share"},
		{`{"id":1,"result":null,"error":{"code":24,"message":"Unauthorized worker"}}`, 24, "Unauthorized worker"},
		{`{"id":1,"result":null,"error":{"message":"Stale","code":"21","traceback":null}}`, 21, "Stale"},
		{`{"id":1,"result":null,"error":"Stale share"}`, 21, "Stale share"},
		{`{"id":1,"result":null,"error":"go away"}`, 0, "go away"},
		{`{"id":1,"result":null,"error":["duplicate"]}`, 22, "duplicate"},
		{`{"id":1,"result":null,"error":[]}`, 20, "refused without a reason"},
		{`{"id":1,"result":null,"error":5}`, 0, "5"},
		{`{"id":1,"result":null,"error":[1e99,"x"]}`, 0, "x"},
		{`{"id":1,"result":false,"error":null,"reject-reason":"Above target"}`, 23, "Above target"},
		{`{"id":1,"result":false,"error":null}`, 20, "refused without a reason"},
		{`{"id":1,"result":null,"error":null}`, 20, "refused without a reason"},
		{`{"id":1,"result":false}`, 20, "refused without a reason"},
		{`{"id":1,"result":null,"error":[-1,"Stale share",null]}`, -1, "Stale share"},
	} {
		e := parse(t, c.line).Failure()
		if e == nil || e.Code != c.code || e.Text != c.text {
			t.Errorf("%s: %+v", c.line, e)
		} else if e.Error() == "" {
			t.Errorf("%s: says nothing", c.line)
		}
	}
	if e := parse(t, `{"id":1,"result":true,"error":null}`).Failure(); e != nil {
		t.Errorf("true is no error: %v", e)
	}
	long := parse(t, `{"id":1,"error":[20,"`+strings.Repeat("ä", 20000)+`"]}`).Failure()
	if n := len([]rune(long.Text)); n > 1024 {
		t.Errorf("a text of %d characters", n)
	}
}

// TestMeaningOfOtherCodes: pools number their errors as they like.
func TestMeaningOfOtherCodes(t *testing.T) {
	for text, want := range map[string]int{
		`[21,"Duplicate share",null]`: 21, `[20,"Stale share",null]`: 20, `[25,"unauthorized"]`: 25, // the protocol's codes are what they are
		`[-1,"Stale share",null]`: 21, `[1,"stale-prevblk"]`: 21, `[26,"Job not found (=stale)",null]`: 21, `[404,"Unknown job"]`: 21,
		`{"code":-32000,"message":"job expired"}`: 21, `{"code":2,"message":"duplicate"}`: 22, `[-2,"low difficulty share of 0.5"]`: 23,
		`[401,"Unauthorized worker"]`: 24, `["19","not subscribed"]`: 25, `[-32601,"Method not found",null]`: -32601, `[99,"?"]`: 99, `"stale"`: 21, `"?"`: 0,
	} {
		if e := ParseError([]byte(text)); e.Meaning() != want {
			t.Errorf("%s means %d; want %d", text, e.Meaning(), want)
		}
	}
}

func TestNumber(t *testing.T) {
	for id, want := range map[string]uint64{`7`: 7, `"8"`: 8, `18446744073709551615`: 18446744073709551615,
		`1.0`: 1, `9.00`: 9, `"9.0"`: 9, `9e0`: 9, `1.2E+1`: 12, `120e-1`: 12, `0.12e2`: 12, `0e9`: 0, `0.0`: 0, `18446744073709551615.0`: 18446744073709551615,
	} {
		m := parse(t, `{"result":true,"id":`+id+`}`)
		if n, ok := m.Number(); !ok || n != want {
			t.Errorf("%s: %d %v", id, n, ok)
		}
	}
	for _, id := range []string{`null`, `-1`, `-9.0`, `9.5`, `0.5e0`, `12e-2`, `1e400`, `1e-400`, `1e40`, `1E+999999999`,
		`18446744073709551616.0`, `"."`, `"e1"`, `"9.0.0"`, `1.` + strings.Repeat("0", 100), `"x"`, `""`, `true`, `[1]`, `99999999999999999999999`} {
		m := parse(t, `{"result":true,"id":`+id+`}`)
		if n, ok := m.Number(); ok {
			t.Errorf("%s: %d", id, n)
		}
	}
}

// FuzzMessage holds the scanner against encoding/json and everything that
// reads params against crashes.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		vectorNotify, vectorSubmit, `{"id":1,"error":null,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000","minimum-difficulty":"no"}}`,
		`{"id":2,"result":[[["mining.set_difficulty","sid1"],["mining.notify","sid2"]],"a511026b",8],"error":null}`,
		`{"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2,"minimum-difficulty.value":1024}]}`,
		`{"id":null,"method":"client.reconnect","params":["pool.example",3333,5]}`, `{"id":9,"error":{"code":21,"message":"x"}}`, `{"id":"é","method":"\u00e9","params":{}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var m Message
		err := ParseMessage(line, &m)
		valid := json.Valid(line) && bytes.HasPrefix(trim(line), []byte("{"))
		if err == nil && !valid {
			t.Fatalf("took %q, which is not JSON", line)
		}
		if err != nil {
			if valid && m.Method == "" && !bytes.Contains(line, []byte("[[[[[[[[")) && !bytes.Contains(line, []byte("method")) && !bytes.Contains(line, []byte(`\u`)) && bytes.Count(line, []byte("{"))+bytes.Count(line, []byte("[")) < maxDepth {
				t.Fatalf("refused %q: %v", line, err)
			}
			return
		}
		m.Kind()
		m.Number()
		m.Failure()
		_, _ = ParseConfigure(m.Params)
		_, _ = ParseConfigureResult(m.Result)
		_, _ = ParseSubscribe(m.Params)
		_, _ = ParseSubscribeResult(m.Result)
		_, _ = ParseAuthorize(m.Params)
		_, _ = ParseSetExtranonce(m.Params)
		_, _ = ParseSetVersionMask(m.Params)
		_, _ = ParseReconnect(m.Params)
		_ = ParseShowMessage(m.Params)
		_, _ = ParseDifficulty(m.Params)
		var s Submit
		if s.Parse(m.Params) == nil {
			out := AppendSubmit(nil, 1, string(s.Worker), string(s.JobID), s.Extranonce2, s.NTime, s.Nonce, s.Rolled, s.VersionBits)
			var again Submit
			if err := again.Parse(parse(t, string(out)).Params); err != nil || again.Nonce != s.Nonce || again.Rolled != s.Rolled || !bytes.Equal(again.Extranonce2, s.Extranonce2) {
				t.Fatalf("%s: %v", out, err)
			}
		}
		for _, out := range [][]byte{AppendTrue(nil, m.ID), AppendError(nil, m.ID, 20, string(line)), AppendShowMessage(nil, string(line))} {
			if !json.Valid(out) || bytes.IndexByte(out, '\n') != len(out)-1 && !bytes.Contains(m.ID, []byte("\n")) {
				t.Fatalf("wrote %q", out)
			}
		}
	})
}

// TestEmptyErrors: what stands for null elsewhere does not turn an accepted
// share into a rejected one, nor the other way round.
func TestEmptyErrors(t *testing.T) {
	for _, empty := range []string{`null`, `false`, `[]`, `{}`, `""`, `0`} {
		for result, accepted := range map[string]bool{"true": true, "false": false, "null": false} {
			var m Message
			if err := ParseMessage([]byte(`{"id":9,"result":`+result+`,"error":`+empty+`}`), &m); err != nil {
				t.Fatal(err)
			}
			if e := m.Failure(); (e == nil) != accepted || m.Succeeded() != accepted {
				t.Errorf("result %s, error %s: %v", result, empty, e)
			}
		}
	}
}
