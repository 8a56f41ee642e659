// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name    string
		csv     string
		opt     Options
		samples []Sample
		skipped int
		cut     int
		err     string
	}{
		{name: "seconds and watts", csv: "time,watts\n100,5\n101,7.5\n103,-2\n",
			samples: []Sample{{0, 5}, {time.Second, 8}, {3 * time.Second, -2}}},
		{name: "milliseconds", csv: "time_ms_utc,total_w\n1715960307185,1000\n1715960309185,2000\n",
			samples: []Sample{{0, 1000}, {2 * time.Second, 2000}}},
		{name: "price keeps millionths", csv: "interval_start_utc,price_usd_per_mwh\n2024-01-01T00:00:00.000Z,28.55\n2024-01-01T00:15:00.000Z,-32.0000005\n",
			opt: Options{Quantity: Price}, samples: []Sample{{0, 28_550_000}, {15 * time.Minute, -32_000_001}}},
		{name: "incomplete rows are left out", csv: "time,nodes_reporting,total_w\n1,2,50\n2,4,100\n3,4,101\n",
			samples: []Sample{{0, 100}, {time.Second, 101}}, skipped: 1},
		{name: "no number is no reading", csv: "time,watts\n1,1\n2,NaN\n3,\n4,1e3\n5,9\n",
			samples: []Sample{{0, 1}, {4 * time.Second, 9}}, skipped: 3},
		{name: "pause of the recording is cut", csv: "time,watts\n0001,1\n2,2\n3,3\n4000,4\n4001,5\n",
			samples: []Sample{{0, 1}, {time.Second, 2}, {2 * time.Second, 3}, {3 * time.Second, 4}, {4 * time.Second, 5}}, cut: 1},
		{name: "or kept", csv: "time,watts\n1,1\n2,2\n3,3\n4000,4\n", opt: Options{KeepGaps: true},
			samples: []Sample{{0, 1}, {time.Second, 2}, {2 * time.Second, 3}, {3999 * time.Second, 4}}},
		{name: "out of order and twice", csv: "time,watts\n3,3\n1,1\n1,9\n2,2\n",
			samples: []Sample{{0, 1}, {time.Second, 2}, {2 * time.Second, 3}}},
		{name: "laboratory time", csv: "local_time,watts\n02-16-2022 09:21:35.500,1\n02-16-2022 09:21:36.500,2\n",
			samples: []Sample{{0, 1}, {time.Second, 2}}},
		{name: "named columns", csv: "when,x\n1,1\n2,2\n", opt: Options{TimeColumn: "when", ValueColumn: "x"},
			samples: []Sample{{0, 1}, {time.Second, 2}}},
		{name: "empty", csv: "", err: "no header line"},
		{name: "no value column", csv: "time,foo\n1,2\n", err: "no value column"},
		{name: "named column missing", csv: "time,watts\n1,2\n", opt: Options{ValueColumn: "w"}, err: `no column "w"`},
		{name: "time is no time", csv: "time,watts\nyesterday,2\n", err: "line 2, column time"},
		{name: "before 1970", csv: "time,watts\n-5,2\n", err: "before 1970"},
		{name: "one row", csv: "time,watts\n1,2\n", err: "need at least two"},
		{name: "too large", csv: "time,watts\n1,9007199254740993\n2,1\n3,2\n", samples: []Sample{{0, 1}, {time.Second, 2}}, skipped: 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Parse(strings.NewReader(tc.csv), tc.opt)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Samples) != len(tc.samples) {
				t.Fatalf("samples %v, want %v", s.Samples, tc.samples)
			}
			for i, x := range tc.samples {
				if s.Samples[i] != x {
					t.Errorf("sample %d is %v, want %v", i, s.Samples[i], x)
				}
			}
			if s.Skipped != tc.skipped || s.CutGaps != tc.cut {
				t.Errorf("skipped %d, cut %d; want %d, %d", s.Skipped, s.CutGaps, tc.skipped, tc.cut)
			}
		})
	}
}

func TestAtHoldsTheValue(t *testing.T) {
	s, err := Parse(strings.NewReader("time,watts\n10,1\n12,2\n14,3\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		at   time.Duration
		want int64
	}{{-time.Second, 1}, {0, 1}, {1999 * time.Millisecond, 1}, {2 * time.Second, 2}, {3 * time.Second, 2}, {time.Hour, 3}} {
		if got := s.At(tc.at); got != tc.want {
			t.Errorf("At(%v) = %d, want %d", tc.at, got, tc.want)
		}
	}
	if s.Length() != 6*time.Second {
		t.Errorf("length %v, want 6s: the last sample holds for one step", s.Length())
	}
}

// TestRecordings reads every recording that the project's data folder has.
func TestRecordings(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data")
	for _, tc := range []struct {
		file      string
		q         Quantity
		low, high int64
	}{
		{"ai-load/mlperf_training_v4.0/ac_64xSMC-H100-SXM-80GB_gpt3_2s.csv.gz", Watts, 292_700, 459_000},
		{"ai-load/mlperf_training_v4.0/ac_9xSMC-H100-SXM-80GB_unet3d_2s.csv.gz", Watts, 20_000, 60_300},
		{"ai-load/mlperf_inference_v2.0/DGX-A100x8_MaxQ_dlrm-99.9_Server_1s.csv.gz", Watts, 1457, 3399},
		{"prices/ercot_hubavg_rt15_2024.csv.gz", Price, -32_000_000, 4_964_840_000},
		{"prices/epftoolbox_PJM_da_price_and_forecast_2016-2018.csv.gz", Price, 0, 1_000_000_000},
	} {
		t.Run(filepath.Base(tc.file), func(t *testing.T) {
			path := filepath.Join(dir, filepath.FromSlash(tc.file))
			if _, err := os.Stat(path); err != nil {
				t.Skipf("SKIPPED: %s is not beside the checkout; this recording is not tested", tc.file)
			}
			s, err := Read(path, Options{Quantity: tc.q})
			if err != nil {
				t.Fatal(err)
			}
			low, high := s.Range()
			slack := (tc.high - tc.low) / 100
			if low < tc.low-slack || high > tc.high+slack {
				t.Errorf("range %d…%d, want within %d…%d", low, high, tc.low, tc.high)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("time,watts\n1,2\n3,4\n", false)
	f.Add("interval_start_utc,price\n2024-01-01T00:00:00Z,-1.5\n2024-01-01T00:15:00Z,4\n", true)
	f.Add("time,nodes_reporting,total_w\n\"1,2\n", false)
	f.Fuzz(func(t *testing.T, csv string, price bool) {
		opt := Options{}
		if price {
			opt.Quantity = Price
		}
		s, err := Parse(strings.NewReader(csv), opt)
		if err != nil {
			return
		}
		if len(s.Samples) < 2 || s.Samples[0].Offset != 0 || s.Step <= 0 {
			t.Fatalf("impossible series: %+v", s)
		}
		for i := 1; i < len(s.Samples); i++ {
			if s.Samples[i].Offset <= s.Samples[i-1].Offset {
				t.Fatalf("offsets do not rise: %v", s.Samples)
			}
		}
		s.At(s.Length() / 2)
	})
}
