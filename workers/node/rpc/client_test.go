// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answering is a node that answers every call alike. ID in the text stands for
// the request's.
func answering(t *testing.T, status int, text string) *Client {
	t.Helper()
	return serving(t, func(w http.ResponseWriter, r *http.Request, id string) {
		w.WriteHeader(status)
		io.WriteString(w, strings.ReplaceAll(text, "ID", id))
	})
}

func serving(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, id string)) *Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			JSONRPC json.RawMessage `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Params  []any           `json:"params"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Errorf("request: %v", err)
		}
		// btcd answers nothing to what has no text here, and Bitcoin Core
		// wants one if there is any.
		if string(q.JSONRPC) != `"1.0"` || q.Params == nil || r.Header.Get("Content-Type") != "application/json" {
			return
		}
		handle(w, r, string(q.ID))
	}))
	t.Cleanup(srv.Close)
	c, err := NewClient(Endpoint{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		status int
		text   string
		want   error // nil: the result 7
		code   int64 // of the node's own error
	}{
		{"plain", 200, `{"result":7,"error":null,"id":ID}`, nil, 0},
		{"2.0", 200, `{"jsonrpc":"2.0","result":7,"id":ID}`, nil, 0},
		{"space around", 200, "\r\n {\"result\":7 , \"id\": ID } \n", nil, 0},
		{"error under 500", 500, `{"result":null,"error":{"code":-10,"message":"downloading"},"id":ID}`, nil, -10},
		{"error under 404", 404, `{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":ID}`, nil, -32601},
		{"error under 400 without id", 400, `{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}`, nil, -32700},
		{"error under 200", 200, `{"jsonrpc":"1.0","result":null,"error":{"code":-9,"message":"not connected"},"id":ID}`, nil, -9},
		{"error is a text", 200, `{"result":null,"error":"no","id":ID}`, nil, 0x7fff},
		{"error is a list", 200, `{"result":null,"error":[1],"id":ID}`, ErrNotRPC, 0},
		{"empty", 200, "", ErrEmpty, 0},
		{"blank", 200, " \n", ErrEmpty, 0},
		{"refused", 401, "", ErrUnauthorized, 0},
		{"refused in HTML", 401, "<html>401</html>", ErrUnauthorized, 0},
		{"forbidden", 403, "", ErrForbidden, 0},
		{"busy", 503, "Work queue depth exceeded", ErrBusy, 0},
		{"HTML", 200, "<html>It works!</html>", ErrNotRPC, 0},
		{"HTML 502", 502, "<html>bad gateway</html>", ErrNotRPC, 0},
		{"redirect", 302, "", ErrNotRPC, 0},
		{"cut off", 200, `{"result":7,"error":nu`, ErrNotRPC, 0},
		{"a list", 200, `[{"result":7,"id":ID}]`, ErrNotRPC, 0},
		{"other id", 200, `{"result":7,"error":null,"id":99}`, ErrNotRPC, 0},
		{"id as text", 200, `{"result":7,"error":null,"id":"ID"}`, ErrNotRPC, 0},
		{"no id", 200, `{"result":7,"error":null}`, ErrNotRPC, 0},
		{"other type", 200, `{"result":"seven","error":null,"id":ID}`, ErrResult, 0},
		{"fraction", 200, `{"result":7.5,"error":null,"id":ID}`, ErrResult, 0},
		{"huge number", 200, `{"result":1e300,"error":null,"id":ID}`, ErrResult, 0},
		{"no result", 200, `{"error":null,"id":ID}`, ErrResult, 0},
		{"nothing in it", 200, `{}`, ErrNotRPC, 0},
		{"deep", 200, strings.Repeat("[", 100_000), ErrNotRPC, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := answering(t, tt.status, tt.text)
			var got int64
			err := c.Call(t.Context(), "getblockcount", nil, &got)
			var said *Error
			switch {
			case tt.code == 0x7fff:
				if !errors.As(err, &said) || said.Message != "no" {
					t.Errorf("%v", err)
				}
			case tt.code != 0:
				if !errors.As(err, &said) || said.Code != tt.code {
					t.Errorf("%v, want the node's %d", err, tt.code)
				}
				if NotReady(err) != (tt.code == -9 || tt.code == -10) {
					t.Errorf("not ready is %v", NotReady(err))
				}
			case !errors.Is(err, tt.want):
				t.Errorf("%v, want %v", err, tt.want)
			case tt.want == nil && got != 7:
				t.Errorf("result %d", got)
			}
			if err != nil && (!strings.Contains(err.Error(), "getblockcount") || !strings.Contains(err.Error(), "127.0.0.1")) {
				t.Errorf("%v does not name method and node", err)
			}
		})
	}
}

func TestResultNullAndLongWords(t *testing.T) {
	var text *string
	if err := answering(t, 200, `{"result":null,"error":null,"id":ID}`).Call(t.Context(), "submitblock", nil, &text); err != nil || text != nil {
		t.Errorf("%v, %v", text, err)
	}
	err := answering(t, 200, `{"error":{"code":-1,"message":"`+strings.Repeat("x", 1<<20)+`"},"id":ID}`).Call(t.Context(), "submitblock", nil, nil)
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestHugeAnswers(t *testing.T) {
	endless := serving(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		chunk := []byte(strings.Repeat("[", 1<<20))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	if err := endless.Call(t.Context(), "getblocktemplate", nil, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("endless: %v", err)
	}
	announced := serving(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<40))
	})
	if err := announced.Call(t.Context(), "getblocktemplate", nil, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("announced: %v", err)
	}
}

func TestContextBoundsACall(t *testing.T) {
	hangs := serving(t, func(_ http.ResponseWriter, r *http.Request, _ string) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	var wrote bool
	err := hangs.CallWritten(ctx, "submitblock", []any{"00"}, nil, func() { wrote = true; cancel() })
	if !errors.Is(err, context.Canceled) || !wrote {
		t.Errorf("%v, written %v", err, wrote)
	}
	gone, err := NewClient(Endpoint{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.CallWritten(t.Context(), "submitblock", nil, nil, func() { t.Error("written to nobody") }); err == nil {
		t.Error("nobody has answered")
	}
}

func TestDigitsTravelAsOneText(t *testing.T) {
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		if r.ContentLength != int64(len(b)) {
			t.Errorf("length %d of %d", r.ContentLength, len(b))
		}
		io.WriteString(w, `{"result":null,"id":1}`)
	}))
	defer srv.Close()
	c, err := NewClient(Endpoint{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Call(t.Context(), "submitblock", []any{Digits{[]byte("00"), nil, []byte("ff01")}, map[string]int{"a": 1}}, nil); err != nil {
		t.Fatal(err)
	}
	if want := `{"jsonrpc":"1.0","id":1,"method":"submitblock","params":["00ff01",{"a":1}]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCookieIsReadAgain(t *testing.T) {
	cookie := filepath.Join(t.TempDir(), ".cookie")
	secret := "__cookie__:one"
	c := serving(t, func(w http.ResponseWriter, r *http.Request, id string) {
		if r.Header.Get("Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)) {
			w.WriteHeader(401)
			return
		}
		io.WriteString(w, `{"result":7,"id":`+id+`}`)
	})
	c.endpoint.CookieFile = cookie
	if err := c.Call(t.Context(), "uptime", nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no cookie: %v", err)
	}
	for _, secret = range []string{"__cookie__:one", "__cookie__:two"} { // a restart
		if err := os.WriteFile(cookie, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.Call(t.Context(), "uptime", nil, nil); err != nil {
			t.Errorf("cookie %s: %v", secret, err)
		}
	}
	secret = "three"
	if err := c.Call(t.Context(), "uptime", nil, nil); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("old cookie: %v", err)
	}
	for _, text := range []string{"", "no colon"} {
		if err := os.WriteFile(cookie, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.known = false
		if err := c.Call(t.Context(), "uptime", nil, nil); err == nil || strings.Contains(err.Error(), "no colon") {
			t.Errorf("cookie %q: %v", text, err)
		}
	}
}

func TestTLSWithTheNodesOwnCertificate(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"result":7,"id":1}`) }))
	defer srv.Close()
	srv.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "rpc.cert")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{ca, ""} {
		c, err := NewClient(Endpoint{URL: srv.URL, CAFile: file})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Call(t.Context(), "uptime", nil, nil); (err == nil) != (file != "") {
			t.Errorf("certificate %q: %v", file, err)
		}
		c.Close()
	}
	if _, err := NewClient(Endpoint{URL: srv.URL, CAFile: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no certificate: %v", err)
	}
	if err := os.WriteFile(ca, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(Endpoint{URL: srv.URL, CAFile: ca}); err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("no certificate in it: %v", err)
	}
}

func TestParseEndpoint(t *testing.T) {
	good := map[string]Endpoint{
		"http://127.0.0.1:8332":                        {URL: "http://127.0.0.1:8332"},
		"http://u:p@host:8332/":                        {URL: "http://host:8332/", User: "u", Password: "p"},
		"https://u:p%40%2F%3A@[::1]:8334?ca=/x/y.cert": {URL: "https://[::1]:8334", User: "u", Password: "p@/:", CAFile: "/x/y.cert"},
		"http://host:8332?cookie=/b/.cookie":           {URL: "http://host:8332", CookieFile: "/b/.cookie"},
	}
	for text, want := range good {
		if got, err := ParseEndpoint(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "host:8332", "ftp://h:1", "http://", "http://host", "http://:8332", "http://u:secret@host", "http://u:sec%zzret@h:1", "http://u:secret@h:1?x=1",
		"http://u:secret@h:1?cookie=/c", "http://h:1?cookie=", "http://h:1?cookie=a&cookie=b", "http://h:1?ca=/c", "http://u:secret@h:1#f", "http://h:99999999x", "http://u:sec\x7fret@h:1",
		"http://u:1/secret@h:1", "http://u:1?secret@h:1", "http://u:1#secret@h:1", "http:u:secret@h:1", "http:///u:secret@h:1", "u:secret@h:1",
	} {
		_, err := ParseEndpoint(text)
		if !errors.Is(err, ErrEndpoint) {
			t.Errorf("%q: %v", text, err)
		} else if s := err.Error(); strings.Contains(s, "secret") || strings.Contains(s, "sec%zz") {
			t.Errorf("%q: the error tells the password: %v", text, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"result":7,"error":null,"id":1}`), 200)
	f.Add([]byte(`{"error":{"code":-1,"message":"x"}}`), 500)
	f.Fuzz(func(t *testing.T, text []byte, status int) {
		var got int64
		err := decode(text, status, 1, &got)
		if err != nil && len(err.Error()) > 4000 && len(text) < 1000 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	})
}
