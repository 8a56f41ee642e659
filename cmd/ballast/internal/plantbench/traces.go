// SPDX-License-Identifier: Apache-2.0

package plantbench

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// Traces are recorded AI loads at one value a second, as shares of their peak
// in millionths.
type Traces struct {
	// Training is the AC power of 64 nodes training one model, its runs one
	// after the other; its values hold for two seconds each.
	Training []int64
	// Serving are four inference benchmarks on one node each.
	Serving [][]int64
	// NameplateShare is the nameplate of the training nodes by their measured
	// peak, millionths: what a scheduler would declare.
	NameplateShare int64
}

// nodeNameplate of one training node with eight GPUs, W.
const nodeNameplate = 10_200

const million = 1_000_000

// Files of the recordings beneath the directory given to Load.
var (
	trainingFile = filepath.Join("mlperf_training_v4.0", "ac_64xSMC-H100-SXM-80GB_gpt3_2s.csv.gz")
	servingFiles = []string{
		"DGX-A100x8_MaxQ_3d-unet-99.9_Offline_1s.csv.gz", "DGX-A100x8_MaxQ_bert-99_Offline_1s.csv.gz",
		"DGX-A100x8_MaxQ_dlrm-99.9_Server_1s.csv.gz", "DGX-A100x8_MaxQ_resnet50_Server_1s.csv.gz",
	}
)

// Load reads the recordings. The error is fs.ErrNotExist where there are none.
func Load(dir string) (*Traces, error) {
	t := &Traces{}
	const nodes = "64"
	var watts []float64
	err := rows(filepath.Join(dir, trainingFile), func(r []string) error {
		if len(r) < 4 || r[2] != nodes {
			return nil // not all nodes had reported yet
		}
		w, err := strconv.ParseFloat(r[3], 64)
		watts = append(watts, w, w)
		return err
	})
	if err != nil {
		return nil, err
	}
	var peak float64
	if t.Training, peak = shares(watts); peak == 0 {
		return nil, fmt.Errorf("%s holds no load", trainingFile)
	}
	t.NameplateShare = int64(64 * nodeNameplate * million / peak)
	for _, f := range servingFiles {
		var watts []float64
		err := rows(filepath.Join(dir, "mlperf_inference_v2.0", f), func(r []string) error {
			w, err := strconv.ParseFloat(r[len(r)-1], 64)
			watts = append(watts, w)
			return err
		})
		if err != nil {
			return nil, err
		}
		s, _ := shares(watts)
		t.Serving = append(t.Serving, s)
	}
	return t, nil
}

// rows calls f with every row of a compressed table but its heading.
func rows(path string, f func([]string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("recorded AI load: %w", err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("recorded AI load %s: %w", path, err)
	}
	r := csv.NewReader(z)
	for n := 0; ; n++ {
		row, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil && n > 0:
			err = f(row)
		}
		if err != nil {
			return fmt.Errorf("recorded AI load %s, row %d: %w", path, n, err)
		}
	}
}

func shares(watts []float64) ([]int64, float64) {
	peak := 0.0
	for _, w := range watts {
		peak = max(peak, w)
	}
	out := make([]int64, len(watts))
	for i, w := range watts {
		out[i] = int64(math.Round(w / peak * million))
	}
	return out, peak
}
