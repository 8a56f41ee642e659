// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// loads is a history of hours.
type loads struct {
	step int64
	at   map[int64]Interval
}

func (h loads) At(i int64) (Interval, bool) { v, ok := h.at[i]; return v, ok }

// unix of a UTC time.
func unix(t *testing.T, s string) int64 {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix()
}

// history of hours in which every day draws f(day before the event, hour);
// the event begins on Friday 2026-03-20 at 14:00 and lasts two hours.
func history(t *testing.T, days int, f func(ago, hour int64) Interval) Input {
	t.Helper()
	h := loads{3600, map[int64]Interval{}}
	begin := unix(t, "2026-03-20 14:00") / 3600
	midnight := begin - 14
	for ago := int64(0); ago <= int64(days); ago++ {
		for hour := range int64(24) {
			if i := midnight - ago*24 + hour; i < begin {
				h.at[i] = f(ago, hour)
			}
		}
	}
	return Input{StepSeconds: 3600, First: begin, Count: 2, Known: begin, LimitWatts: []int64{500, 500}, History: h}
}

func result(t *testing.T, rs []Result, method events.BaselineMethod) Result {
	t.Helper()
	i := slices.IndexFunc(rs, func(r Result) bool { return r.Method == method })
	if i < 0 {
		t.Fatalf("no result of %s", method)
	}
	return rs[i]
}

// TestByHand holds every method against figures worked out by hand. Friday 20
// March is preceded by ten weekdays, 6 to 19 March without the weekends; day
// number k of them, newest first, draws 1000 + 10·k W at 14:00, twice the k at
// 15:00, and 800 W in the hours before. Weekends draw 3000 W.
func TestByHand(t *testing.T) {
	weekdayNumber := func(ago int64) int64 { // 1 for yesterday, Thursday
		return ago - 2*((ago+2)/7) // Saturdays and Sundays before
	}
	in := history(t, 14, func(ago, hour int64) Interval {
		weekend := ago%7 == 5 || ago%7 == 6
		k := weekdayNumber(ago)
		switch {
		case ago == 0 && hour >= 10 && hour < 13:
			return Interval{Watts: 880} // a tenth above its like
		case weekend:
			return Interval{Watts: 3000}
		case hour == 14:
			return Interval{Watts: 1000 + 10*k, PriceWatts: 7 * k}
		case hour == 15:
			return Interval{Watts: 1000 + 20*k}
		}
		return Interval{Watts: 800}
	})
	in.BeforeKnown, in.BeforeWatts = true, 885
	rs := All(in)

	// k runs from 1 to 10: the mean is 5.5.
	like := result(t, rs, events.BaselineTenInTen)
	if want := []int64{1055, 1110}; !slices.Equal(like.Watts, want) || len(like.Days) != 10 {
		t.Errorf("%s: %v over %d days, want %v", like.Method, like.Watts, len(like.Days), want)
	}
	// 7 W · 5.5 in one hour of two.
	if like.PriceLoweredWatts != 19 {
		t.Errorf("price lowered %s by %d W, want 19 (38.5 / 2 rounded down)", like.Method, like.PriceLoweredWatts)
	}
	if got := Date(like.Days[0]); got != "2026-03-19" {
		t.Errorf("newest like day %s", got)
	}
	if got := Date(like.Days[9]); got != "2026-03-06" {
		t.Errorf("oldest like day %s", got)
	}
	// 880 / 800 = 1.1, within both caps: 1055 · 1.1 = 1160.5.
	for _, r := range rs[1:3] {
		if want := []int64{1160, 1221}; !slices.Equal(r.Watts, want) || r.AdjustmentPPM != 1_100_000 {
			t.Errorf("%s: %v at %d ppm, want %v at 1100000", r.Parameters, r.Watts, r.AdjustmentPPM, want)
		}
	}
	// Without k = 1 and k = 10 the mean is 5.5 as well; 8 days are left.
	mid := result(t, rs, events.BaselineMiddleEightOfTen)
	if want := []int64{1055, 1110}; !slices.Equal(mid.Watts, want) || len(mid.Days) != 8 || Date(mid.Days[0]) != "2026-03-18" {
		t.Errorf("%s: %v over %d days from %s", mid.Method, mid.Watts, len(mid.Days), Date(mid.Days[0]))
	}
	// All like days drew 800 W in the window: the newest is the nearest.
	near := result(t, rs, events.BaselineNearestDay)
	if want := []int64{1010, 1020}; !slices.Equal(near.Watts, want) {
		t.Errorf("%s: %v, want %v", near.Method, near.Watts, want)
	}
	// Ten weekdays and four weekend days per hour. Weekends are above the
	// weekdays of 14:00 by 3000 − 1055, of 15:00 by 3000 − 1110; both hours
	// weigh alike, so δ = 1917.5, and a weekday reads
	// (10·1055 + 4·3000)/14 − 4/14·1917.5 = 1062.86 and 1102.14.
	reg := result(t, rs, events.BaselineRegression)
	if want := []int64{1062, 1102}; !slices.Equal(reg.Watts, want) {
		t.Errorf("%s: %v, want %v", reg.Method, reg.Watts, want)
	}
	if r := result(t, rs, events.BaselineMaximumBaseLoad); !slices.Equal(r.Watts, []int64{500, 500}) {
		t.Errorf("%s: %v", r.Method, r.Watts)
	}
	if r := result(t, rs, events.BaselineMeterBeforeAfter); !slices.Equal(r.Watts, []int64{885, 885}) {
		t.Errorf("%s: %v", r.Method, r.Watts)
	}
}

func TestAdjustmentIsCapped(t *testing.T) {
	for _, c := range []struct {
		today          int64
		want20, want40 int64
	}{
		{0, 800_000, 600_000}, {100, 800_000, 600_000}, {700, 800_000, 700_000}, {1000, 1_000_000, 1_000_000},
		{1399, 1_200_000, 1_399_000}, {9000, 1_200_000, 1_400_000},
	} {
		in := history(t, 20, func(ago, _ int64) Interval {
			if ago == 0 {
				return Interval{Watts: c.today}
			}
			return Interval{Watts: 1000}
		})
		rs := All(in)
		if got := rs[1].AdjustmentPPM; got != c.want20 {
			t.Errorf("%d W today: %d ppm, want %d", c.today, got, c.want20)
		}
		if got := rs[2].AdjustmentPPM; got != c.want40 {
			t.Errorf("%d W today: %d ppm, want %d", c.today, got, c.want40)
		}
	}
	// A load that was off then and on now is not infinitely much more.
	if got := ratioPPM(5, 0, 10, 200_000); got != 1_200_000 {
		t.Errorf("from nothing: %d ppm", got)
	}
	if got := ratioPPM(0, 0, 10, 200_000); got != million {
		t.Errorf("nothing from nothing: %d ppm", got)
	}
}

// TestEventDaysAreLeftOut: a day on which an event was in force is no like day,
// though the event was at another hour; nor is one that was not measured.
func TestEventDaysAreLeftOut(t *testing.T) {
	in := history(t, 20, func(ago, hour int64) Interval {
		return Interval{Watts: 1000 - ago, Event: ago == 2 && hour == 3}
	})
	h := in.History.(loads)
	delete(h.at, in.First-3*24) // three days ago at 14:00
	r := result(t, All(in), events.BaselineTenInTen)
	for _, d := range r.Days {
		if date := Date(d); date == "2026-03-18" || date == "2026-03-17" || date == "2026-03-14" || date == "2026-03-15" {
			t.Errorf("%s counts", date)
		}
	}
	if len(r.Days) != 10 {
		t.Errorf("%d days", len(r.Days))
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	in := history(t, 5, func(_, _ int64) Interval { return Interval{Watts: 1000} }) // three weekdays
	for _, r := range All(in) {
		want := Reason("")
		switch r.Method {
		case events.BaselineTenInTen, events.BaselineTenInTenAdjusted, events.BaselineMiddleEightOfTen, events.BaselineRegression:
			want = TooFewDays
		case events.BaselineMeterBeforeAfter:
			want = NothingBefore
		}
		if r.Unavailable != want || (want == "") != (r.Watts != nil) || len(r.InputHash) != 64 {
			t.Errorf("%s: %q with %v, want %q", r.Method, r.Unavailable, r.Watts, want)
		}
	}
	h := in.History.(loads)
	delete(h.at, in.First-3)
	if r := result(t, All(in), events.BaselineNearestDay); r.Unavailable != NothingBefore {
		t.Errorf("nearest day without a morning: %q", r.Unavailable)
	}
}

// TestHashFollowsTheInput: whatever a method reads changes its hash, and what
// it does not read does not.
func TestHashFollowsTheInput(t *testing.T) {
	in := history(t, 30, func(ago, hour int64) Interval { return Interval{Watts: 1000 + ago*10 + hour} })
	before := All(in)
	h := in.History.(loads)
	day := in.First - 24
	h.at[day] = Interval{Watts: 7, PriceWatts: h.at[day].PriceWatts}
	after := All(in)
	for i, r := range after {
		reads := r.Method != events.BaselineMaximumBaseLoad && r.Method != events.BaselineMeterBeforeAfter
		if (r.InputHash != before[i].InputHash) != reads {
			t.Errorf("%s: hash %s after a change, %s before", r.Method, r.InputHash, before[i].InputHash)
		}
	}
}

// TestLocalDays: a calendar moves the border of days, and thereby what is a
// weekend; a holiday is one, too.
func TestLocalDays(t *testing.T) {
	c := Calendar{Offsets: []Offset{{0, -6 * 3600}, {unix(t, "2026-03-08 08:00"), -5 * 3600}}}
	day, second := c.Day(unix(t, "2026-03-07 05:30")) // Friday 23:30 in the west
	if Date(day) != "2026-03-06" || second != 23*3600+1800 || c.Weekend(day) {
		t.Errorf("%s %d weekend %v", Date(day), second, c.Weekend(day))
	}
	if got := c.Unix(day, second); got != unix(t, "2026-03-07 05:30") {
		t.Errorf("back: %d", got)
	}
	day, _ = c.Day(unix(t, "2026-03-09 12:00"))
	if c.Weekend(day) {
		t.Error("a Monday is a weekend")
	}
	c.Holidays = []int64{day}
	if !c.Weekend(day) {
		t.Error("a holiday is none")
	}
	// Around both changes of the clock every instant has its place, and except
	// for the hour that comes twice it comes back.
	c.Offsets = append(c.Offsets, Offset{unix(t, "2026-11-01 07:00"), -6 * 3600})
	for _, from := range []string{"2026-03-07 00:00", "2026-10-31 00:00"} {
		for u := unix(t, from); u < unix(t, from)+3*daySeconds; u += 900 {
			d, s := c.Day(u)
			twice := u >= unix(t, "2026-11-01 06:00") && u < unix(t, "2026-11-01 08:00")
			if got := c.Unix(d, s); got != u && !twice {
				t.Errorf("%s %d: %d comes back as %d", Date(d), s, u, got)
			}
		}
	}
}

// TestRegressionIsLeastSquares compares the closed solution with the normal
// equations of the same model, solved in fractions.
func TestRegressionIsLeastSquares(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 30 {
		in := history(t, 45, func(ago, hour int64) Interval {
			return Interval{Watts: r.Int64N(10_000) + hour*100, Event: ago%11 == 3}
		})
		in.Count = 1 + r.Int64N(4)
		in.LimitWatts = make([]int64, in.Count)
		got := result(t, All(in), events.BaselineRegression)
		if got.Unavailable != "" {
			t.Fatal(got.Unavailable)
		}
		want := normalEquations(in)
		if !slices.Equal(got.Watts, want) {
			t.Fatalf("%v, normal equations say %v", got.Watts, want)
		}
	}
}

// normalEquations solves XᵀX b = Xᵀy for one column per hour and one for
// weekends by elimination.
func normalEquations(in Input) []int64 {
	n := int(in.Count)
	h := in.History.(loads)
	a := make([][]*big.Rat, n+1)
	for i := range a {
		a[i] = make([]*big.Rat, n+2)
		for j := range a[i] {
			a[i][j] = new(big.Rat)
		}
	}
	for ago := int64(1); ago <= 45; ago++ {
		if ago%11 == 3 {
			continue
		}
		weekend := in.Calendar.Weekend(in.First*3600/daySeconds - ago)
		for i := range n {
			y := new(big.Rat).SetInt64(h.at[in.First+int64(i)-24*ago].Watts)
			cols := []int{i}
			if weekend {
				cols = append(cols, n)
			}
			for _, p := range cols {
				for _, q := range cols {
					a[p][q].Add(a[p][q], big.NewRat(1, 1))
				}
				a[p][n+1].Add(a[p][n+1], y)
			}
		}
	}
	for p := range n + 1 {
		for q := range n + 1 {
			if q == p || a[q][p].Sign() == 0 {
				continue
			}
			f := new(big.Rat).Quo(a[q][p], a[p][p])
			for k := range n + 2 {
				a[q][k].Sub(a[q][k], new(big.Rat).Mul(f, a[p][k]))
			}
		}
	}
	out := make([]int64, n)
	for i := range out { // the event is on a Friday
		out[i] = floorRat(new(big.Rat).Quo(a[i][n+1], a[i][i]))
	}
	return out
}
