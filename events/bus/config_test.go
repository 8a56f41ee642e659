// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	ok := func(c Config) Config { c.DataDir = "x"; return c }
	for name, tc := range map[string]struct {
		c    Config
		want string // empty: valid
	}{
		"embedded":            {Config{DataDir: "x"}, ""},
		"external":            {Config{URL: "nats://a:4222,nats://b:4222"}, ""},
		"cluster":             {Config{URL: "nats://a", Replicas: 3}, ""},
		"any port":            {ok(Config{Listen: "127.0.0.1:0"}), ""},
		"no place":            {Config{}, "data_dir"},
		"prefix":              {ok(Config{Prefix: "a.b"}), "prefix"},
		"long prefix":         {ok(Config{Prefix: strings.Repeat("a", 60)}), "at most 57"},
		"name":                {ok(Config{Name: "Big"}), "name"},
		"durability":          {ok(Config{Durability: "maybe"}), "power-loss"},
		"even replicas":       {Config{URL: "nats://a", Replicas: 2}, "1, 3 or 5"},
		"embedded replicas":   {ok(Config{Replicas: 3}), "cluster"},
		"small payload":       {ok(Config{MaxPayload: 10}), "max_payload"},
		"window":              {ok(Config{DuplicateWindow: time.Millisecond}), "duplicate_window"},
		"window beyond age":   {ok(Config{Retention: Retention{CommandsAge: time.Minute}}), "commands_age"},
		"listen without port": {ok(Config{Listen: "127.0.0.1"}), "host:port"},
		"listen nonsense":     {ok(Config{Listen: "127.0.0.1:http!"}), "port"},
		"two credentials":     {Config{URL: "nats://a", Credentials: Credentials{CredsFile: "x", NKeyFile: "y"}}, "one of"},
		"bad token":           {Config{Credentials: Credentials{JoinToken: "x"}}, "join token"},
		"half a certificate":  {ok(Config{TLS: TLS{CertFile: "x"}}), "together"},
		"whom to verify":      {ok(Config{TLS: TLS{VerifyClients: true}}), "ca_file"},
		"advertise":           {ok(Config{Listen: ":4222", Advertise: "bus.example:4222"}), ""},
		"advertise nothing":   {ok(Config{Advertise: "bus.example:4222"}), "listens nowhere"},
		"advertise all":       {ok(Config{Listen: ":4222", Advertise: ":4222"}), "name the host"},
		"negative timeout":    {ok(Config{ConnectTimeout: -1}), "connect_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.c.Validate()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v; want %q in it", err, tc.want)
			}
		})
	}
	// All at once, so that a person corrects a file once.
	err := Config{Prefix: "A", Name: "B", Replicas: 4}.Validate()
	if n := strings.Count(err.Error(), "\n") + 1; n != 4 {
		t.Errorf("%d complaints, want 4: %v", n, err)
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]endpoint{
		"127.0.0.1:4222": {"127.0.0.1", 4222, true},
		"127.9.9.9:1":    {"127.9.9.9", 1, true},
		"localhost:0":    {"localhost", 0, true},
		"[::1]:4222":     {"::1", 4222, true},
		":4222":          {"0.0.0.0", 4222, false},
		"0.0.0.0:4222":   {"0.0.0.0", 4222, false},
		"[::]:4222":      {"::", 4222, false},
		"10.0.0.1:4222":  {"10.0.0.1", 4222, false},
		"bus.local:4222": {"bus.local", 4222, false},
	} {
		if got, err := parseListen(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
}
