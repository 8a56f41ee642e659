// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"testing"

	"github.com/ballast-energy/ballast/workers/stratum/server"
)

// TestEveryLimitOfTheServerHasAKey: what the server bounds can be set, and the
// key of each bound sets that bound.
func TestEveryLimitOfTheServerHasAKey(t *testing.T) {
	limits := func(m Miners) map[string]int64 {
		v := reflect.ValueOf(m.Server().Limits)
		all := map[string]int64{}
		for i := range v.NumField() {
			all[v.Type().Field(i).Name] = v.Field(i).Int()
		}
		return all
	}
	before := limits(defaultMiners())
	for name, value := range before {
		if value == 0 {
			t.Errorf("server.Limits.%s has no key", name)
		}
	}
	set := map[string]string{}
	m := defaultMiners()
	v := reflect.ValueOf(&m.Limits).Elem()
	for i := range v.NumField() {
		m = defaultMiners()
		v.Field(i).SetInt(v.Field(i).Int() + 1)
		key := v.Type().Field(i).Tag.Get("yaml")
		for name, value := range limits(m) {
			if value != before[name] {
				if value != before[name]+1 || set[name] != "" {
					t.Errorf("%s sets %s to %d, as does %q", key, name, value, set[name])
				}
				set[name] = key
			}
		}
	}
	if len(set) != reflect.TypeFor[server.Limits]().NumField() || len(set) != v.NumField() {
		t.Errorf("%d keys for %d limits: %v", v.NumField(), reflect.TypeFor[server.Limits]().NumField(), set)
	}
}
