// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func params(t testing.TB, line []byte) []byte {
	t.Helper()
	return parse(t, string(line)).Params
}

func TestRequestsAreWrittenAsTheProtocolHasThem(t *testing.T) {
	for want, got := range map[string][]byte{
		`{"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2,"minimum-difficulty.value":1024}]}`: (&Configure{VersionRolling: true, Mask: 0x1fffe000, MinBitCount: 2, MinimumDifficulty: "1024"}).Append(nil, 1),
		`{"id":1,"method":"mining.configure","params":[["subscribe-extranonce","info"],{}]}`:                                                                                                             (&Configure{SubscribeExtranonce: true, Unknown: []string{"info"}}).Append(nil, 1),
		`{"id":2,"method":"mining.subscribe","params":["ballast/1.0"]}`:                                                                                                                                  Subscribe{UserAgent: "ballast/1.0"}.Append(nil, 2),
		`{"id":2,"method":"mining.subscribe","params":["a","sid"]}`:                                                                                                                                      Subscribe{UserAgent: "a", Session: "sid"}.Append(nil, 2),
		`{"id":3,"method":"mining.authorize","params":["account.worker","x"]}`:                                                                                                                           Authorize{User: "account.worker", Password: "x"}.Append(nil, 3),
		`{"id":4,"method":"mining.suggest_difficulty","params":[1024]}`:                                                                                                                                  AppendSuggestDifficulty(nil, 4, "1024"),
		`{"id":5,"method":"mining.extranonce.subscribe","params":[]}`:                                                                                                                                    AppendExtranonceSubscribe(nil, 5),
		`{"id":6,"method":"mining.ping","params":[]}`:                                                                                                                                                    AppendPing(nil, 6),
		`{"id":9,"method":"mining.submit","params":["w \"q\"\\\u0001é","j","","0000000a","ffffffff"]}`:                                                                                                   AppendSubmit(nil, 9, "w \"q\"\\\x01é", "j", nil, 10, 0xffffffff, false, 7),
		`{"id":null,"method":"mining.set_difficulty","params":[0.001]}`:                                                                                                                                  AppendSetDifficulty(nil, "0.001"),
		`{"id":null,"method":"mining.set_version_mask","params":["1fffe000"]}`:                                                                                                                           AppendSetVersionMask(nil, 0x1fffe000),
		`{"id":null,"method":"mining.set_extranonce","params":["a5",4]}`:                                                                                                                                 Extranonce{Extranonce1: []byte{0xa5}, Extranonce2Bytes: 4}.Append(nil),
		`{"id":null,"method":"client.reconnect","params":["h",3333,5]}`:                                                                                                                                  Reconnect{Host: "h", Port: 3333, Wait: 5}.Append(nil),
		`{"id":null,"method":"client.reconnect","params":[]}`:                                                                                                                                            Reconnect{}.Append(nil),
		`{"id":null,"method":"client.show_message","params":["hi"]}`:                                                                                                                                     AppendShowMessage(nil, "hi"),
		`{"id":"x","result":true,"error":null}`:                                                                                                                                                          AppendTrue(nil, []byte(`"x"`)),
		`{"id":null,"result":null,"error":[-32700,"Parse error",null]}`:                                                                                                                                  AppendError(nil, nil, CodeParse, "Parse error"),
		`{"id":1,"result":"pong","error":null}`:                                                                                                                                                          AppendResult(nil, []byte("1"), Quote("pong")),
		`{"id":2,"result":[[["mining.set_difficulty","s"],["mining.notify","s"]],"a511026b",8],"error":null}`:                                                                                            SubscribeResult{Session: "s", Extranonce: Extranonce{unhex(t, "a511026b"), 8}}.Append(nil, []byte("2")),
		`{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000","minimum-difficulty":true,"subscribe-extranonce":true,"x":false},"error":null}`:                                      ConfigureResult{VersionRolling: true, Mask: 0x1fffe000, MinimumDifficulty: true, SubscribeExtranonce: true}.Append(nil, []byte("1"), &Configure{VersionRolling: true, MinimumDifficulty: "1", SubscribeExtranonce: true, Unknown: []string{"x"}}),
		`{"id":1,"result":{},"error":null}`:                                                                                                                                                              ConfigureResult{}.Append(nil, []byte("1"), &Configure{}),
	} {
		if string(got) != want+"\n" {
			t.Errorf("wrote\n%swant\n%s", got, want)
		}
		parse(t, string(got))
	}
}

func TestConfigureBothWays(t *testing.T) {
	for _, c := range []Configure{
		{VersionRolling: true, Mask: 0x1fffe000, MinBitCount: 2, MinimumDifficulty: "1024"}, {VersionRolling: true, Mask: 0xffffffff, SubscribeExtranonce: true, Unknown: []string{"info"}}, {Mask: 0xffffffff},
	} {
		got, err := ParseConfigure(params(t, c.Append(nil, 1)))
		if err != nil || !reflect.DeepEqual(*got, c) {
			t.Errorf("%+v, %v, want %+v", got, err, c)
		}
	}
	for in, want := range map[string]Configure{
		`[["version-rolling"]]`: {VersionRolling: true, Mask: 0xffffffff}, `[["version-rolling"],null]`: {VersionRolling: true, Mask: 0xffffffff}, `[[],{}]`: {Mask: 0xffffffff},
		`[["version-rolling"],{"version-rolling.mask":"E000"}]`: {VersionRolling: true, Mask: 0xe000}, `[["version-rolling"],{"version-rolling.mask":"xyz"}]`: {Mask: 0xffffffff, Unknown: []string{"version-rolling"}},
		`[["minimum-difficulty"]]`:                                 {Mask: 0xffffffff, Unknown: []string{"minimum-difficulty"}},
		`[["minimum-difficulty"],{"minimum-difficulty.value":-1}]`: {Mask: 0xffffffff, Unknown: []string{"minimum-difficulty"}}, `[["version-rolling"],{"version-rolling.min-bit-count":99}]`: {VersionRolling: true, Mask: 0xffffffff},
	} {
		if got, err := ParseConfigure([]byte(in)); err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{``, `[]`, `{}`, `["version-rolling"]`, `[[5]]`, `[["x"],5]`, `[["` + strings.Repeat("x", 65) + `"]]`, `[[""` + strings.Repeat(`,""`, 16) + `]]`} {
		if got, err := ParseConfigure([]byte(in)); err == nil {
			t.Errorf("%s: took it as %+v", in, got)
		}
	}
	for in, want := range map[string]ConfigureResult{
		`{"version-rolling":true,"version-rolling.mask":"1fffe000","minimum-difficulty":true}`: {true, 0x1fffe000, true, false},
		`{"version-rolling":false,"version-rolling.mask":"1fffe000"}`:                          {}, `{"version-rolling":"no","minimum-difficulty":"no"}`: {}, `{"version-rolling":true}`: {},
		`{"version-rolling":true,"version-rolling.mask":5}`: {}, `{"version-rolling":true,"version-rolling.mask":"00000000"}`: {}, `{}`: {}, `{"subscribe-extranonce":true}`: {SubscribeExtranonce: true},
	} {
		if got, err := ParseConfigureResult([]byte(in)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{``, `null`, `true`, `[]`} {
		if _, err := ParseConfigureResult([]byte(in)); err == nil {
			t.Errorf("%s: no error", in)
		}
	}
}

func TestSubscribeResults(t *testing.T) {
	for in, want := range map[string]string{
		`[[["mining.set_difficulty","s1"],["mining.notify","s2"]],"a511026b",8]`: "s2 a511026b 8", `[[["mining.notify","ae68"]],"08000002",4]`: "ae68 08000002 4",
		`[["mining.notify","ae68"],"08",4]`: "ae68 08 4", `[[],"",32]`: "  32", `[null,"A5",8,"more"]`: " a5 8", `[[["mining.notify"]],"a5","8"]`: " a5 8", `[[["mining.notify",5]],"a5",1]`: " a5 1",
	} {
		r, err := ParseSubscribeResult([]byte(in))
		if got := fmt.Sprintf("%s %x %d", r.Session, r.Extranonce1, r.Extranonce2Bytes); err != nil || got != want {
			t.Errorf("%s: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{``, `null`, `true`, `[]`, `[[],"a5"]`, `[[],"a5",0]`, `[[],"a5",-1]`, `[[],"a5",33]`, `[[],"a5",4.5]`, `[[],"a5",null]`, `[[],"a",4]`, `[[],"zz",4]`, `[[],5,4]`, `[[],null,4]`, `[[],"` + strings.Repeat("aa", 33) + `",4]`} {
		if r, err := ParseSubscribeResult([]byte(in)); err == nil {
			t.Errorf("%s: took it as %+v", in, r)
		}
	}
}

func TestOtherParams(t *testing.T) {
	if s, err := ParseSubscribe([]byte(`["cgminer/4.9","abc","pool",3333]`)); err != nil || s != (Subscribe{"cgminer/4.9", "abc"}) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, in := range []string{``, `[]`, `[null,null]`, `[5]`, `["` + strings.Repeat("x", 300) + `"]`} {
		if s, err := ParseSubscribe([]byte(in)); err != nil || s != (Subscribe{}) {
			t.Errorf("%s: %+v, %v", in, s, err)
		}
	}
	if a, err := ParseAuthorize([]byte(`["w",null]`)); err != nil || a != (Authorize{User: "w"}) {
		t.Errorf("%+v, %v", a, err)
	}
	for _, in := range []string{``, `[]`, `[5]`, `[null,"x"]`, `{}`, `["` + strings.Repeat("x", 600) + `"]`} {
		if a, err := ParseAuthorize([]byte(in)); err == nil {
			t.Errorf("%s: took it as %+v", in, a)
		}
	}
	for in, want := range map[string]Reconnect{
		``: {}, `[]`: {}, `[null]`: {}, `["h"]`: {Host: "h"}, `["h",1]`: {Host: "h", Port: 1}, `["h","2",3]`: {"h", 2, 3}, `["h",1,999999]`: {"h", 1, 3600}, `["",0,0]`: {},
	} {
		if r, err := ParseReconnect([]byte(in)); err != nil || r != want {
			t.Errorf("%s: %+v, %v", in, r, err)
		}
	}
	for _, in := range []string{`{}`, `[5]`, `["h",-1]`, `["h",65536]`, `["h",1,-1]`, `["h",1,"x"]`, `["` + strings.Repeat("x", 256) + `"]`} {
		if r, err := ParseReconnect([]byte(in)); err == nil {
			t.Errorf("%s: took it as %+v", in, r)
		}
	}
	for in, want := range map[string]uint32{`["1fffe000"]`: 0x1fffe000, `["FFFFFFFF","x"]`: 0xffffffff, `["0"]`: 0} {
		if m, err := ParseSetVersionMask([]byte(in)); err != nil || m != want {
			t.Errorf("%s: %x, %v", in, m, err)
		}
	}
	for _, in := range []string{``, `[]`, `[5]`, `[""]`, `["1fffe0000"]`, `["-1"]`, `["0x1fffe0"]`} {
		if m, err := ParseSetVersionMask([]byte(in)); err == nil {
			t.Errorf("%s: took it as %x", in, m)
		}
	}
	for in, want := range map[string]string{``: "", `[]`: "", `["a\nb"]`: "a\nb", `[5]`: "5"} {
		if got := ParseShowMessage([]byte(in)); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func TestSubmitsRefused(t *testing.T) {
	for _, in := range []string{
		``, `[]`, `{}`, `["w","j","00","00000000"]`, `[5,"j","00","00000000","00000000"]`, `["w",5,"00","00000000","00000000"]`, `["w","j","0","00000000","00000000"]`, `["w","j","zz","00000000","00000000"]`,
		`["w","j","00","0000000","00000000"]`, `["w","j","00","00000000","000000000"]`, `["w","j","00","00000000","0000000g"]`, `["w","j","00",0,"00000000"]`, `["w","j","00","00000000","00000000","x"]`,
		`["w","j","` + strings.Repeat("00", 33) + `","00000000","00000000"]`, `["` + strings.Repeat("w", 600) + `","j","00","00000000","00000000"]`, `["w","` + strings.Repeat("j", 64000) + `","00","00000000","00000000"]`,
	} {
		var s Submit
		if err := s.Parse([]byte(in)); err == nil {
			t.Errorf("%.100s: took it as %+v", in, s)
		} else if len(err.Error()) > 400 {
			t.Errorf("%.100s: an error of %d characters", in, len(err.Error()))
		}
	}
	var s Submit
	if err := s.Parse([]byte(`["w","j","","0000000A","ffffffff",null]`)); err != nil || s.Rolled || s.NTime != 10 || len(s.Extranonce2) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
