// SPDX-License-Identifier: Apache-2.0

package enginebench

// Targets of the engine.
const (
	// TargetOverBare is the least that the engine should reach of its bare
	// kernel.
	TargetOverBare = 0.97
	// TargetStopMicros is the most that the 99th percentile of stops should
	// take, µs.
	TargetStopMicros = 1000
)

// Report of a Run.
type Report struct {
	Machine Machine        `json:"machine"`
	Kernels []KernelResult `json:"kernels"`
	Engine  EngineResult   `json:"engine"`
	Stop    StopResult     `json:"stop"`
	Pauses  PauseResult    `json:"pauses"`
}

// Machine is where the figures are from.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	// Processor is the model's name, where it tells.
	Processor string `json:"processor,omitempty"`
	// Processors that the process may use; two may share a core.
	Processors int `json:"processors"`
	// Threads that the figures for all cores were taken with.
	Threads   int    `json:"threads"`
	GoVersion string `json:"go_version"`
	// Others is how many processors other processes kept busy on average while
	// this was measured. More than a few hundredths show in every figure but
	// the clean ones; -1 where it is not known.
	Others float64 `json:"processors_busy_with_others"`
	// Pinned: the kernels were timed on one and the same processor.
	Pinned bool `json:"pinned"`
	// Clock is the median of the core's clock while kernels were timed, GHz,
	// and ClockLeast and ClockMost bound nine tenths of the calibrations.
	Clock      float64 `json:"clock_ghz,omitempty"`
	ClockLeast float64 `json:"clock_p5_ghz,omitempty"`
	ClockMost  float64 `json:"clock_p95_ghz,omitempty"`
	// CyclesPerRounds is the reciprocal throughput of SHA256RNDS2: cycles from
	// starting one to starting the next that does not depend on it.
	CyclesPerRounds float64 `json:"cycles_per_sha256rnds2,omitempty"`
}

// KernelResult is one kernel with or without versions to roll.
type KernelResult struct {
	Kernel string `json:"kernel"`
	// NotMeasured is why there are no figures: the machine cannot run the
	// kernel, or it computes wrongly.
	NotMeasured string `json:"not_measured,omitempty"`
	// VersionRolling: the work had 65,536 versions; else one.
	VersionRolling bool `json:"version_rolling"`
	// Chosen: the engine uses this kernel for such work on this machine.
	Chosen bool `json:"chosen"`
	// Chunks and Hashes that the figures of one core stand on.
	Chunks int    `json:"chunks,omitempty"`
	Hashes uint64 `json:"hashes,omitempty"`
	// CleanCycles is the best chunk's, SustainedCycles that of the best run of
	// successive chunks, MedianCycles the median chunk's.
	CleanCycles     float64 `json:"clean_cycles_per_hash,omitempty"`
	SustainedCycles float64 `json:"sustained_cycles_per_hash,omitempty"`
	MedianCycles    float64 `json:"median_cycles_per_hash,omitempty"`
	// CleanRate, SustainedRate and MedianRate of one core by the wall clock,
	// million hashes per second.
	CleanRate     float64 `json:"clean_mhs_per_core,omitempty"`
	SustainedRate float64 `json:"sustained_mhs_per_core,omitempty"`
	MedianRate    float64 `json:"median_mhs_per_core,omitempty"`
	// AllCores is the rate of bare loops on all threads together, the median
	// of its windows, million hashes per second.
	AllCores float64 `json:"mhs_all_cores,omitempty"`
	// OverStdlib is how many times as quick as the standard library's kernel
	// it is, clean by clean.
	OverStdlib float64 `json:"clean_ratio_to_stdlib,omitempty"`
	// ShareOf60 is 60 / CleanCycles, on processors with SHA instructions.
	ShareOf60 float64 `json:"share_of_60_cycle_limit,omitempty"`
	// ShareOfUnit is 60 × Machine.CyclesPerRounds / CleanCycles.
	ShareOfUnit float64 `json:"share_of_sha_unit_limit,omitempty"`
}

// EngineResult compares the engine as it is used with its bare kernel.
type EngineResult struct {
	Kernel  string `json:"kernel"`
	Threads int    `json:"threads"`
	// Windows are the pairs of windows compared.
	Windows int `json:"windows"`
	// BareRate and EngineRate are medians, million hashes per second of all
	// threads.
	BareRate   float64 `json:"bare_mhs"`
	EngineRate float64 `json:"engine_mhs"`
	// OverBare is the median of the windows' ratios, to be Target at least.
	OverBare float64 `json:"engine_over_bare"`
	Target   float64 `json:"target"`
	Met      bool    `json:"met"`
	// OverBareCPU is the same by processor time instead of the wall clock, all
	// of the process's for the engine: what to look at on a machine that
	// others keep busy. It does not contain waiting.
	OverBareCPU float64 `json:"engine_over_bare_by_cpu_time,omitempty"`
	// Jobs given and Hits handed out meanwhile, and Faults of the kernel.
	Jobs   int    `json:"jobs"`
	Hits   uint64 `json:"hits"`
	Faults uint64 `json:"faults"`
}

// StopResult is how long stops took, from the flag until the last thread had
// ended its last call, every thread hashing before.
type StopResult struct {
	Kernel  string `json:"kernel"`
	Threads int    `json:"threads"`
	Spread
	// Target of the 99th percentile.
	Target float64 `json:"target_p99_us"`
	Met    bool    `json:"met"`
}

// PauseResult is what others feel of garbage collections.
type PauseResult struct {
	Kernel  string `json:"kernel"`
	Threads int    `json:"threads"`
	// World are the times that the world was stopped, by the runtime's own
	// account, from the decision to stop it, to a resolution of an eighth.
	World Conditions `json:"world_stopped"`
	// Neighbour is how late another goroutine woke from sleeps of a
	// millisecond while collection followed on collection.
	Neighbour Conditions `json:"neighbour_late"`
}

// Conditions are one measurement, in turn without and with hashing.
type Conditions struct {
	Idle    Spread `json:"idle"`
	Hashing Spread `json:"hashing"`
	// Difference is the hashing less the idle 99th percentile, µs.
	Difference float64 `json:"p99_difference_us"`
}
