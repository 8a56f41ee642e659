// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// plainUnmarshal is UnmarshalPayload by encoding/json: what it documents as
// stricter is looked for first, by a walk over the tokens.
func plainUnmarshal(data []byte, p Payload) error {
	clean, err := strictly(data, reflect.TypeOf(p).Elem())
	if err != nil {
		return err
	}
	v := reflect.ValueOf(p).Elem()
	v.SetZero()
	if err := json.Unmarshal(clean, p); err != nil {
		return err
	}
	intoUTC(v)
	return nil
}

// strictly refuses missing, repeated and null fields and returns the JSON
// without the fields that the type does not know.
func strictly(data []byte, typ reflect.Type) ([]byte, error) {
	if !json.Valid(data) {
		return nil, errors.New("not JSON")
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ.Kind() == reflect.Struct && typ != timeType:
		return strictObject(data, typ)
	case typ.Kind() == reflect.Slice && typ.Elem().Kind() != reflect.Uint8:
		var items []json.RawMessage
		if err := json.Unmarshal(data, &items); err != nil {
			return nil, err
		}
		for i := range items {
			clean, err := strictly(items[i], typ.Elem())
			if err != nil {
				return nil, err
			}
			items[i] = clean
		}
		return json.Marshal(items)
	case strings.TrimSpace(string(data)) == "null":
		return nil, errors.New("null")
	case typ.Kind() == reflect.Slice && bytes.TrimSpace(data)[0] == '[':
		return nil, errors.New("bytes as an array of numbers")
	}
	return data, nil
}

func strictObject(data []byte, typ reflect.Type) ([]byte, error) {
	known := map[string]reflect.StructField{}
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		known[name] = typ.Field(i)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, errors.New("no object")
	}
	seen, out := map[string]bool{}, map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := tok.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		f, ok := known[name]
		if !ok {
			continue
		}
		if seen[name] {
			return nil, fmt.Errorf("%s twice", name)
		}
		seen[name] = true
		if string(value) == "null" {
			continue
		}
		if out[name], err = strictly(value, f.Type); err != nil {
			return nil, err
		}
	}
	for name, f := range known {
		if _, opts, _ := strings.Cut(f.Tag.Get("json"), ","); opts != "omitempty" && out[name] == nil {
			return nil, fmt.Errorf("%s missing", name)
		}
	}
	return json.Marshal(out)
}

// intoUTC turns every time in v into UTC.
func intoUTC(v reflect.Value) {
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(v.Interface().(time.Time).UTC()))
	case v.Kind() == reflect.Pointer && !v.IsNil():
		intoUTC(v.Elem())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			intoUTC(v.Field(i))
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		for i := range v.Len() {
			intoUTC(v.Index(i))
		}
	}
}

// FuzzUnmarshal holds the readers against encoding/json on arbitrary bytes,
// with and without reused memory: the same bytes are taken, with the same
// result.
func FuzzUnmarshal(f *testing.F) {
	for i, info := range typeTable {
		for _, ex := range examples(f, info.Type) {
			f.Add(uint8(i), []byte(ex))
		}
	}
	tick := uint8(typeIndex[TypeClockTick])
	for _, s := range awkward {
		f.Add(tick, []byte(s))
		f.Add(uint8(typeIndex[TypeAlertCleared]), []byte(`{"alert":"a","message":`+s+`}`))
		f.Add(uint8(typeIndex[TypeMeterReading]), []byte(`{"power_watts":1,"quality":"good","sampled_at":"2026-03-02T18:04:05Z","x":`+s+`}`))
		f.Add(uint8(typeIndex[TypeMeterReading]), []byte(`{"power_watts":`+s+`,"quality":"good","sampled_at":`+s+`}`))
	}
	reused := make([]Decoder, len(typeTable))
	f.Fuzz(func(t *testing.T, n uint8, data []byte) {
		info := typeTable[int(n)%len(typeTable)]
		sameAsPlain(t, info, data, &reused[int(n)%len(typeTable)])
	})
}

// awkward JSON, and what is nearly JSON.
var awkward = []string{
	`{"second":1}`, ` { "second" : 1 } `, `{"second":1,}`, `{,"second":1}`, `{"second":1 "x":2}`, `{"second":1}}`, `{"second":1}{`,
	`{"Second":1}`, `{"SECOND":1,"second":2}`, `{"sec\u006fnd":1}`, `{"second":1,"second":2}`, `{"second":null}`, `{"second":null,"second":1}`,
	`{"second":01}`, `{"second":-0}`, `{"second":-}`, `{"second":+1}`, `{"second":1.0}`, `{"second":1e2}`, `{"second":1E2}`, `{"second":0x1}`,
	`{"second":9223372036854775807}`, `{"second":9223372036854775808}`, `{"second":-9223372036854775808}`, `{"second":-9223372036854775809}`,
	`{"second":18446744073709551616}`, `{"second":"1"}`, `{"second":true}`, `{"second":NaN}`, `{"second":Infinity}`, `{"second":[1]}`, `{"second":{}}`,
	`null`, `[]`, `""`, `0`, `true`, ``, ` `, `{`, `{"`, `{"second`, `{"second"`, `{"second":`, `{"second":1`,
	`"a\u00e9b"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx"`, `"\ude00"`, `"\ud83d\u0041"`, `"\ud83d\ud83d\ude00"`, `"\u12"`, `"\x41"`, `"\`, `"\"`, `"a` + "\n" + `"`,
	"\"\xff\xfe\"", "\"\xe2\x80\xa8\"", "\"\xed\xa0\x80\"", `"\u0000"`, `"\/\b\f\n\r\t\\\""`, `"<>&"`,
	`[1,2,{"a":[]}]`, `[1,]`, `[,1]`, `[1 2]`, `-1.5e+10`, `1.`, `.5`, `-`, `1e`, `1e+`, `tru`, `truefalse`, `nul`, `nulll`, `-01`, `00`,
	`"2026-03-02T18:04:05.1234567891Z"`, `"2026-03-02T18:04:05+05:30"`, `"2026-02-29T00:00:00Z"`, `"2028-02-29T00:00:00Z"`, `"1900-02-29T00:00:00Z"`,
	`"2000-02-29T23:59:59.999999999Z"`, `"0000-01-01T00:00:00Z"`, `"9999-12-31T23:59:59Z"`, `"9999-12-31T23:59:59-01:00"`, `"2026-03-02T18:04:05,5Z"`,
	`"2026-03-02T18:04:60Z"`, `"2026-03-02T24:00:00Z"`, `"2026-03-02T18:04:05"`, `"2026-03-02T8:04:05Z"`, `"2026-03-02T18:04:05.Z"`, `"2026\u002d03-02T18:04:05Z"`,
	`"2026-03-02T18:04:05+24:00"`, `"1600-01-31T00:00:00Z"`, `"1970-01-01T00:00:00.000000001Z"`, `"0001-01-01T00:00:00Z"`,
}

func sameAsPlain(t *testing.T, info TypeInfo, data []byte, d *Decoder) {
	t.Helper()
	have, want := info.New(), info.New()
	haveErr, wantErr := UnmarshalPayload(data, have), plainUnmarshal(data, want)
	if (haveErr == nil) != (wantErr == nil) {
		t.Fatalf("%s %q: here %v, plain %v", info.Type, data, haveErr, wantErr)
	}
	// The planned reader must agree with the one by hand, too.
	planned := info.New()
	v := reflect.ValueOf(planned).Elem()
	s := scanner{data: data}
	planFor(v.Type()).read(&s, v)
	s.end()
	if (s.err == nil) != (haveErr == nil) {
		t.Fatalf("%s %q: here %v, by plan %v", info.Type, data, haveErr, s.err)
	}
	if haveErr != nil {
		return
	}
	if !reflect.DeepEqual(have, want) {
		t.Fatalf("%s %q:\n here %s\nplain %s", info.Type, data, show(have), show(want))
	}
	if !reflect.DeepEqual(have, planned) {
		t.Fatalf("%s %q:\n here %s\nplan %s", info.Type, data, show(have), show(planned))
	}
	sameEncoding(t, have)
	if have.Validate() != nil {
		return
	}
	subject := Subject("p", "s", info.Type, "x")
	d.Reuse = true
	a, errA := Decode(subject, nil, data)
	b, errB := d.Decode(subject, nil, data)
	if (errA == nil) != (errB == nil) {
		t.Fatalf("%s %q: Decode %v, Decoder %v", info.Type, data, errA, errB)
	}
	if errA == nil && !reflect.DeepEqual(a, b) {
		t.Fatalf("%s %q:\n Decode %s\nDecoder %s", info.Type, data, show(a.Data), show(b.Data))
	}
}

func show(v any) string {
	j, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(j)
}

func sameEncoding(t *testing.T, p Payload) {
	t.Helper()
	want, wantErr := json.Marshal(p)
	have, haveErr := AppendPayload([]byte("before"), p)
	if (wantErr == nil) != (haveErr == nil) {
		t.Fatalf("%s: here %v, plain %v", p.EventType(), haveErr, wantErr)
	}
	if wantErr == nil && string(have) != "before"+string(want) {
		t.Fatalf("%s:\n here %s\nplain %s", p.EventType(), have, want)
	}
}

func TestReadersEqualPlain(t *testing.T) {
	reused := make([]Decoder, len(typeTable))
	for i, info := range typeTable {
		for _, ex := range examples(t, info.Type) {
			for _, m := range mutate(t, schemaOf(t, info.Type), ex) {
				sameAsPlain(t, info, m.json, &reused[i])
			}
			for n := 0; n < len(ex); n += 3 {
				sameAsPlain(t, info, ex[:n], &reused[i])
			}
		}
		for _, s := range awkward {
			sameAsPlain(t, info, []byte(s), &reused[i])
		}
	}
}

// fill gives v arbitrary content, valid or not.
func fill(r *rand.Rand, v reflect.Value) {
	switch {
	case v.Type() == timeType:
		t := time.Unix(r.Int64N(4e11)-1e11, r.Int64N(1e9))
		if t = t.UTC(); r.IntN(4) == 0 {
			t = t.In(time.FixedZone("", r.IntN(86400)-43200))
		}
		v.Set(reflect.ValueOf(t))
	case v.Kind() == reflect.Pointer:
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case v.Kind() == reflect.Slice:
		if n := r.IntN(5); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range v.Len() {
				fill(r, v.Index(i))
			}
		}
	case v.Kind() == reflect.String:
		texts := []string{"", "good", "rig-17", "running", "é<&>\u2028", "a\"b\\c\n\x00", "\xff\xfe", "😀", strings.Repeat("x", r.IntN(200))}
		v.SetString(texts[r.IntN(len(texts))])
	case v.Kind() == reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case v.CanInt():
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case v.CanUint():
		v.SetUint(r.Uint64() >> r.IntN(64) & (1<<v.Type().Bits() - 1))
	}
}

func FuzzAppend(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		for _, info := range typeTable {
			p := info.New()
			fill(r, reflect.ValueOf(p).Elem())
			sameEncoding(t, p)
			data, err := AppendPayload(nil, p)
			if err != nil {
				continue
			}
			sameAsPlain(t, info, data, new(Decoder))
		}
	})
}

func TestWritersEqualPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		for _, info := range typeTable {
			p := info.New()
			fill(r, reflect.ValueOf(p).Elem())
			sameEncoding(t, p)
		}
	}
}

// hotPayloads are one typical payload of each hand-written kind.
func hotPayloads(t testing.TB) map[Type][]byte {
	out := make(map[Type][]byte)
	for _, typ := range []Type{TypeMeterReading, TypeWorkerStatus, TypeClockTick, TypePermitRenewed, TypeShareFound} {
		var b bytes.Buffer
		if err := json.Compact(&b, examples(t, typ)[0]); err != nil {
			t.Fatal(err)
		}
		out[typ] = b.Bytes()
	}
	return out
}

func TestHotPathAllocates(t *testing.T) {
	header := []byte("NATS/1.0\r\nce-specversion: 1.0\r\nce-type: meter.reading\r\ncontent-type: application/json\r\n\r\n")
	d := Decoder{Reuse: true}
	for typ, data := range hotPayloads(t) {
		subject := Subject("ballast", "tx1", typ, "x")
		var buf []byte
		decode := testing.AllocsPerRun(100, func() {
			e, err := d.DecodeRaw(subject, header, data)
			if err != nil {
				t.Fatal(err)
			}
			if buf, err = AppendPayload(buf[:0], e.Data); err != nil {
				t.Fatal(err)
			}
		})
		// Texts that are never the same twice (hash counts, share ids) are
		// strings of their own.
		most := map[Type]float64{TypeWorkerStatus: 1, TypeShareFound: 4}[typ]
		if decode > most {
			t.Errorf("%s: %v allocations, want at most %v", typ, decode, most)
		}
	}
}

func TestDecoderKeepsNothingOfTheMessage(t *testing.T) {
	// The bytes of a message belong to the client library: a string that the
	// event carries must not change when they do.
	d := Decoder{Reuse: true}
	for typ, data := range hotPayloads(t) {
		buf := bytes.Clone(data)
		e, err := d.Decode(Subject("ballast", "tx1", typ, "x"), nil, buf)
		if err != nil {
			t.Fatal(err)
		}
		before := show(e.Data)
		for i := range buf {
			buf[i] = 'z'
		}
		if after := show(e.Data); after != before {
			t.Errorf("%s changed with its message:\n%s\n%s", typ, before, after)
		}
	}
}
