// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// methodName for people; two results of one method differ by their cap.
func methodName(b *events.PerformanceBaseline) string {
	switch b.Method {
	case events.BaselineTenInTen:
		return "10‑in‑10"
	case events.BaselineTenInTenAdjusted:
		if strings.Contains(b.Parameters, "cap=400000ppm") {
			return "10‑in‑10, adjusted ±40\u00a0%"
		}
		return "10‑in‑10, adjusted ±20\u00a0%"
	case events.BaselineMiddleEightOfTen:
		return "Middle 8 of 10"
	case events.BaselineNearestDay:
		return "Nearest like day"
	case events.BaselineRegression:
		return "Regression"
	case events.BaselineMaximumBaseLoad:
		return "Maximum base load"
	case events.BaselineMeterBeforeAfter:
		return "Meter before"
	}
	return string(b.Method)
}

// methodClass is how a method is drawn, whatever its place in the list.
func methodClass(b *events.PerformanceBaseline) string {
	n := slices.Index(events.BaselineMethods(), b.Method)
	if n > 1 || strings.Contains(b.Parameters, "cap=400000ppm") {
		n++ // the adjusted mean comes with two caps
	}
	return "b" + strconv.Itoa(n)
}

// methodText says how a method works.
func methodText(m events.BaselineMethod) string {
	switch m {
	case events.BaselineTenInTen:
		return "Mean of the ten newest days of the same type without an event."
	case events.BaselineTenInTenAdjusted:
		return "The mean of ten like days, times the load of three hours that day ÷ theirs, ending an hour before the reduction; capped."
	case events.BaselineMiddleEightOfTen:
		return "Mean of the ten newest like days without the highest and the lowest."
	case events.BaselineNearestDay:
		return "The like day that was nearest in three hours, ending an hour before the reduction."
	case events.BaselineRegression:
		return "Least squares over 45 days, on the hour of the day and weekday or weekend."
	case events.BaselineMaximumBaseLoad:
		return "The level asked for itself: delivered is the margin below it."
	case events.BaselineMeterBeforeAfter:
		return "Mean of the five whole minutes before the reduction began."
	}
	return ""
}

func unavailableText(code string) string {
	switch code {
	case "too-few-days":
		return "not available: too few like days were measured"
	case "nothing-before":
		return "not available: the hours before were not measured"
	}
	return "not available: " + code
}

// outcomeText says what an outcome means.
func outcomeText(o events.PerformanceOutcome) string {
	switch o {
	case events.PerformanceMet:
		return "At the level by the deadline, and there to the end."
	case events.PerformanceLate:
		return "At the level after the deadline, and there to the end."
	case events.PerformanceShort:
		return "Not at the level, or above it for more than the tolerance."
	case events.PerformanceNotMeasurable:
		return "Too little was measured to tell."
	case events.PerformanceNotCalled:
		return "Nothing had to be done."
	case events.PerformanceVoid: // is not reported
	}
	return ""
}

// worst outcome of several parts.
func worst(parts []Word) events.PerformanceOutcome {
	order := []events.PerformanceOutcome{events.PerformanceNotCalled, events.PerformanceMet, events.PerformanceLate, events.PerformanceNotMeasurable, events.PerformanceShort}
	at := 0
	for i := range parts {
		for n, o := range order {
			if parts[i].Outcome == o {
				at = max(at, n)
			}
		}
	}
	return order[at]
}

func nodeText(node string) string {
	if node == events.RootNode {
		return "point of connection"
	}
	return "node " + node
}

func measureText(m events.Measures) string {
	if m == events.MeasuresTotal {
		return "all load"
	}
	return "mining"
}

func kindText(k events.SignalKind) string {
	switch k {
	case events.SignalCurtail:
		return "Curtailment"
	case events.SignalSetpoint:
		return "Setpoint"
	case events.SignalImportLimit:
		return "Import limit"
	case events.SignalEmergency:
		return "Emergency"
	}
	return string(k)
}

func endingText(e events.Ending) string {
	switch e {
	case events.EndingElapsed:
		return "its window was over"
	case events.EndingCancelled:
		return "cancelled"
	case events.EndingSuperseded:
		return "superseded"
	case events.EndingRunning:
		return "still running"
	}
	return string(e)
}

func qualityText(q string) string {
	switch q {
	case QualityMetered:
		return "metered"
	case QualityModelled:
		return "modelled"
	case QualityPartly:
		return "partly estimated"
	case QualityEstimated:
		return "estimated"
	}
	return "missing"
}
