// SPDX-License-Identifier: Apache-2.0

package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

const programmeSite = `sites:
  - id: a
    limit: 10MW
    meters: [{id: m, measures: ai}]
    nodes: [{id: ups-a, limit: 4MW}]
    programmes:
      - {id: ers-10, name: Emergency response, product: ERS-10, market: ERCOT, node: ups-a, measures: mining, limit_is: cap,
         notice: 1m, response: 10m, ramp: 5m, min_duration: 30m, return_delay: 2m, recovery: 15m, tests: obey,
         precedence: grid-emergency, tolerance: 5%, baselines: [ten-in-ten, regression],
         silence: {source: qse, after: 4m, then: limit, limit: 50kW}}
      - {id: dr, measures: total, limit_is: shed}
`

func TestProgrammes(t *testing.T) {
	c := Default()
	err := Parse([]byte(programmeSite), &c)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	want := []events.ProgrammeConfig{{
		Programme: "ers-10", Name: "Emergency response", Product: "ERS-10", Market: "ERCOT", Node: "ups-a",
		Measures: events.MeasuresMining, LimitIs: events.LimitIsCap, NoticeSeconds: 60, ResponseSeconds: 600, RampSeconds: 300,
		MinDurationSeconds: 1800, ReturnDelaySeconds: 120, RecoverySeconds: 900, Tests: events.TestObey,
		Precedence: events.PrecedenceGridEmergency, TolerancePPM: 50_000,
		Baselines: []events.BaselineMethod{events.BaselineTenInTen, events.BaselineRegression},
		Silence:   &events.SilenceConfig{Source: "qse", AfterSeconds: 240, OnSilence: events.SilenceLimit, LimitWatts: 50_000},
	}, {Programme: "dr", Measures: events.MeasuresTotal, LimitIs: events.LimitIsShed}}
	if got := c.Sites[0].SiteConfig().Programmes; !reflect.DeepEqual(got, want) {
		t.Errorf("the programmes read as\n%+v, want\n%+v", got, want)
	}
}

func TestBadProgrammesSayWhatIsWrong(t *testing.T) {
	for change, want := range map[string]string{
		"limit_is: shed>limit_is: watts":                                   "none of cap, shed",
		"limit_is: shed>name: x":                                           "limit_is",
		"measures: total>measures: ai":                                     "none of total, mining",
		"id: dr,>id: ers-10,":                                              "listed twice",
		"node: ups-a,>node: ups-b,":                                        "is no node of this site",
		"tests: obey>tests: maybe":                                         "none of record, obey",
		"[ten-in-ten, regression]>[guess]":                                 "none of [ten-in-ten",
		"[ten-in-ten, regression]>[regression, regression]":                "listed twice",
		"precedence: grid-emergency>precedence: none":                      "precedence",
		"then: limit, limit: 50kW>then: hold, limit: 50kW":                 "belongs to on_silence limit only",
		"after: 4m>after: 0s":                                              "silence.after_seconds",
		"source: qse>source: The QSE":                                      "silence.source",
		"response: 10m>response: 25h":                                      "response_seconds",
		"id: dr, measures: total>id: dr, speed: 3, measures: total":        "unknown field",
		"limit_is: shed}>limit_is: shed, tolerance: 101%}":                 "101%",
		"then: limit, limit: 50kW>then: carry-on at full power, limit: 0W": "none of hold, limit",
	} {
		from, to, _ := strings.Cut(change, ">")
		text := strings.Replace(programmeSite, from, to, 1)
		if text == programmeSite {
			t.Fatalf("%q does not occur", from)
		}
		c := Default()
		err := Parse([]byte(text), &c)
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", change, err, want)
		}
	}
}
