// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// patience with which a test waits for what must come; it passes only when
// something is wrong.
const patience = 60 * time.Second

// recorder is a sink that writes down what it hears.
type recorder struct {
	heard chan string
	jobs  chan *upstream.Job
	opens chan upstream.Session
}

func newRecorder() *recorder {
	return &recorder{heard: make(chan string, 10000), jobs: make(chan *upstream.Job, 10000), opens: make(chan upstream.Session, 1000)}
}

func (r *recorder) Opened(s upstream.Session) {
	r.opens <- s
	r.heard <- fmt.Sprintf("opened mask=%08x primary=%t", s.VersionMask, s.Primary)
}

func (r *recorder) Job(j *upstream.Job) {
	r.jobs <- j
	r.heard <- fmt.Sprintf("job %s mask=%08x difficulty=%s extranonce=%x+%d height=%d clean=%t", j.ID, j.VersionMask, j.Difficulty, j.Extranonce1, j.Extranonce2Bytes, j.Height, j.Clean)
}

func (r *recorder) Closed(_ string, cause error) { r.heard <- fmt.Sprintf("closed %v", cause) }
func (r *recorder) Trouble(err error)            { r.heard <- fmt.Sprintf("trouble %v", err) }

// next thing heard.
func (r *recorder) next(t *testing.T) string {
	t.Helper()
	select {
	case s := <-r.heard:
		return s
	case <-time.After(patience):
		t.Fatal("nothing is heard")
		return ""
	}
}

// pool is the other side of a scripted conversation.
type pool struct {
	t    *testing.T
	l    net.Listener
	conn net.Conn
	r    *bufio.Reader
}

func newPool(t *testing.T) *pool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pool{t: t, l: l}
	t.Cleanup(func() {
		l.Close()
		p.hangUp()
	})
	return p
}

func (p *pool) url() string { return "stratum+tcp://acct.rig1:secret@" + p.l.Addr().String() }

func (p *pool) accept() {
	p.t.Helper()
	p.hangUp()
	if err := p.l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	conn, err := p.l.Accept()
	if err != nil {
		p.t.Fatalf("the client does not connect: %v", err)
	}
	p.conn, p.r = conn, bufio.NewReader(conn)
}

func (p *pool) hangUp() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// hear is the client's next line.
func (p *pool) hear() string {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Fatalf("the client says nothing: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// say what the client may no longer listen to.
func (p *pool) say(text string) {
	_, _ = p.conn.Write([]byte(text))
}

// hello is what a client says first, and welcome a usual answer.
var hello = []string{
	`{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}]}`,
	`{"id":2,"method":"mining.subscribe","params":["ballast/1.0"]}`,
	`{"id":3,"method":"mining.authorize","params":["acct.rig1","secret"]}`,
	`{"id":4,"method":"mining.extranonce.subscribe","params":[]}`,
}

const welcome = `{"id":1,"error":null,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"}}
{"id":2,"result":[[["mining.set_difficulty","s1"],["mining.notify","s2"]],"a511026b",8],"error":null}
{"id":3,"result":true,"error":null}
{"id":4,"result":true,"error":null}
{"id":null,"method":"mining.set_difficulty","params":[0.001]}
`

const workText = `{"id":null,"method":"mining.notify","params":["@id","a0b1c2d33c5d7e9f2a6e8f10017d9c4be5d6b3c08817a2f49d3e24c61f0b5c7a","02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff1b0341d10c092f62616c6c6173742f0c","ffffffff0260aaec1200000000160014751e76e8199196d454941c45d1b3a323f1433bd60000000000000000266a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf900000000",["59bb1fe0d2b2202f6780bfe19f9d845f8709c745f358f826b2ab02a510da070e","064e57314e3f26e664ffcbc1526ac0622c044a3dd3228c964340490da8e75b8a"],"20000000","17034219","@ntime",true]}` + "\n"

// notify is a job of the pool's.
func notify(id string) string {
	text := strings.Replace(workText, "@id", id, 1)
	return strings.Replace(text, "@ntime", job.WordText(uint32(time.Now().Unix())), 1)
}

// greet accepts a connection and lets the client in.
func (p *pool) greet() {
	p.t.Helper()
	p.accept()
	for range hello {
		p.hear()
	}
	p.say(welcome)
}

// running starts a client that stops with the test.
func running(t *testing.T, cfg Config) (*Client, *recorder) {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := newRecorder()
	stop := start(t, c, r)
	t.Cleanup(stop)
	return c, r
}

func start(t *testing.T, c *Client, sink upstream.Sink) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- c.Run(ctx, sink) }()
	return func() {
		cancel()
		select {
		case err, first := <-over:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
			if first {
				close(over)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	}
}

// share makes up a share of a job; n tells shares apart.
func share(j *upstream.Job, n uint32, version uint32) upstream.Submission {
	s := upstream.Submission{Session: j.Session, Job: j, Extranonce2: make([]byte, j.Extranonce2Bytes), Version: version, NTime: j.NTime, Nonce: n}
	binary.BigEndian.PutUint32(s.Hash[:], n)
	return s
}

var macro = regexp.MustCompile(`@(ntime|repeat|work)(?:\(([^()]*)\))?`)

// expand the macros of a transcript: @ntime and @ntime(±seconds) are the time
// of the run, @repeat(text;n) is long, @work is the previous block, the coinbase
// and the branches of a job.
func expand(t *testing.T, now uint32, line string) string {
	return macro.ReplaceAllStringFunc(line, func(m string) string {
		part := macro.FindStringSubmatch(m)
		switch part[1] {
		case "ntime":
			off := 0
			if part[2] != "" {
				var err error
				if off, err = strconv.Atoi(part[2]); err != nil {
					t.Fatal(err)
				}
			}
			return job.WordText(now + uint32(off))
		case "work":
			_, work, _ := strings.Cut(workText, `"@id",`)
			work, _, _ = strings.Cut(work, `,"20000000"`)
			return work
		default:
			text, count, _ := strings.Cut(part[2], ";")
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Repeat(text, n)
		}
	})
}

// TestTranscripts plays recorded and made-up conversations. A line of a
// transcript is one step:
//
//	: name value   configuration, before anything else
//	> {…}          the client says exactly this
//	< {…}          the pool says this
//	= …            the sink hears this; "…" at the end stands for any rest
//	! submit …     a share: job, extranonce2, ntime, nonce, version
//	! accept, ! close, ! stop
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			play(t, f)
		})
	}
}

func play(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t)
	cfg := Config{Pool: "test", URLs: []string{p.url()}, Timing: Timing{FirstPause: 2 * time.Millisecond, LongestPause: 20 * time.Millisecond}}
	now := uint32(time.Now().Unix())
	var (
		c    *Client
		stop func()
		r    = newRecorder()
		jobs = map[string]*upstream.Job{}
	)
	for n, line := range strings.Split(string(text), "\n") {
		at := fmt.Sprintf("%s:%d", file, n+1)
		if line == "" || line[0] == '#' {
			continue
		}
		if len(line) < 2 || line[1] != ' ' {
			t.Fatalf("%s: cannot be read: %s", at, line)
		}
		step, rest := line[0], expand(t, now, line[2:])
		if c == nil && step != ':' {
			if c, err = New(cfg); err != nil {
				t.Fatalf("%s: %v", at, err)
			}
			stop = start(t, c, r)
			defer func() { stop() }()
			p.accept()
		}
		switch step {
		case ':':
			configure(t, at, &cfg, rest)
		case '>':
			if got := p.hear(); got != rest {
				t.Fatalf("%s: the client says\n%s\nwant\n%s", at, got, rest)
			}
		case '<':
			p.say(rest + "\n")
		case '=':
			got := r.next(t)
			want, open := strings.CutSuffix(rest, "…")
			if got != rest && !(open && strings.HasPrefix(got, want)) {
				if before, after, mid := strings.Cut(rest, "…"); !mid || !strings.HasPrefix(got, before) || !strings.Contains(got[len(before):], strings.TrimSuffix(after, "…")) {
					t.Fatalf("%s: heard\n%s\nwant\n%s", at, got, rest)
				}
			}
			for len(r.jobs) > 0 {
				j := <-r.jobs
				jobs[j.ID] = j
			}
		case '!':
			words := strings.Fields(rest)
			switch words[0] {
			case "accept":
				p.accept()
			case "close":
				p.hangUp()
			case "stop":
				stop()
				stop = func() {}
			case "submit", "block":
				s := submission(t, at, jobs, words)
				s.Block = words[0] == "block"
				c.Submit(s, func(v upstream.Verdict) {
					state := [...]string{"unknown", "accepted", "rejected " + string(v.Reason)}[v.State]
					r.heard <- strings.TrimSpace(fmt.Sprintf("verdict %s %s", state, v.Detail))
				})
			default:
				t.Fatalf("%s: no such step: %s", at, rest)
			}
		default:
			t.Fatalf("%s: no such step: %s", at, line)
		}
	}
}

func submission(t *testing.T, at string, jobs map[string]*upstream.Job, words []string) upstream.Submission {
	if len(words) != 6 || jobs[words[1]] == nil {
		t.Fatalf("%s: want submit job extranonce2 ntime nonce version; jobs %v", at, jobs)
	}
	s := upstream.Submission{Session: jobs[words[1]].Session, Job: jobs[words[1]]}
	var err error
	if s.Extranonce2, err = hex.DecodeString(words[2]); err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	for i, to := range []*uint32{&s.NTime, &s.Nonce, &s.Version} {
		if *to, err = job.Word(words[3+i]); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
	}
	s.Hash = hashengine.DoubleSHA256([]byte(strings.Join(words, " ")))
	return s
}

func configure(t *testing.T, at string, cfg *Config, line string) {
	name, value, _ := strings.Cut(line, " ")
	durations := map[string]*time.Duration{
		"grace": &cfg.Timing.Grace, "reply": &cfg.Timing.Reply, "first-job": &cfg.Timing.FirstJob, "no-job": &cfg.Timing.NoJob,
		"silence": &cfg.Timing.Silence, "drain": &cfg.Timing.Drain, "settled": &cfg.Timing.Settled,
	}
	texts := map[string]*string{"suggest": &cfg.SuggestedDifficulty, "minimum": &cfg.MinimumDifficulty}
	switch {
	case durations[name] != nil:
		d, err := time.ParseDuration(value)
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		*durations[name] = d
	case texts[name] != nil:
		*texts[name] = value
	case name == "no-rolling":
		cfg.NoVersionRolling = true
	default:
		t.Fatalf("%s: no such setting: %s", at, line)
	}
}
