// SPDX-License-Identifier: Apache-2.0

package events

import (
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/schemas"
	"github.com/goccy/go-yaml"
)

func TestAsyncAPINamesSubjectsStreamsAndHeaders(t *testing.T) {
	var doc struct {
		Channels map[string]struct {
			Address  string         `yaml:"address"`
			Messages map[string]any `yaml:"messages"`
			Stream   string         `yaml:"x-nats-stream"`
			Relayed  bool           `yaml:"x-nats-relayed"`
		} `yaml:"channels"`
		Components struct {
			Schemas struct {
				Envelope struct {
					Properties map[string]any `yaml:"properties"`
				} `yaml:"envelope"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(schemas.AsyncAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[Type]bool{}
	for name, c := range doc.Channels {
		a, err := ParseSubject(strings.NewReplacer("{prefix}", "ballast", "{site}", "tx1", "{source}", "x").Replace(c.Address))
		if err != nil {
			t.Errorf("channel %s: %v", name, err)
			continue
		}
		info, _ := Info(a.Type)
		if c.Messages[string(a.Type)] == nil || c.Stream != info.Stream || c.Relayed != (info.Relayed && a.Source == "x") {
			t.Errorf("channel %s: messages %v, stream %q, relayed %v; the contract says %+v", name, c.Messages, c.Stream, c.Relayed, info)
		}
		seen[a.Type] = true
	}
	for _, info := range Types() {
		if !seen[info.Type] {
			t.Errorf("%s has no channel", info.Type)
		}
	}
	for _, h := range []string{HeaderCESpecVersion, HeaderCEID, HeaderCEType, HeaderCESource, HeaderCETime, HeaderCausation,
		HeaderCorrelation, HeaderContentType, HeaderMsgID, HeaderOrigin, HeaderOriginTime} {
		if doc.Components.Schemas.Envelope.Properties[h] == nil {
			t.Errorf("the envelope lacks %s", h)
		}
	}
}
