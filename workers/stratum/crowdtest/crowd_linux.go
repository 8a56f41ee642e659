// SPDX-License-Identifier: Apache-2.0

package crowdtest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
)

// soTimestampNS is SO_TIMESTAMPNS, which package syscall does not name.
const soTimestampNS = 35

// fdConn is a socket that the runtime's poller does not know of.
type fdConn struct {
	fd int
	// stamp of the last arrival, Unix nanoseconds.
	stamp int64
	oob   [64]byte
}

// errAgain is a Temporary net.Error, after which TLS goes on.
type errAgain struct{}

func (errAgain) Error() string   { return "nothing to read" }
func (errAgain) Timeout() bool   { return true }
func (errAgain) Temporary() bool { return true }

func (c *fdConn) Read(b []byte) (int, error) {
	for {
		n, oobn, _, _, err := syscall.Recvmsg(c.fd, b, c.oob[:], 0)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, errAgain{}
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		if oobn >= syscall.CmsgLen(16) {
			at := c.oob[syscall.CmsgLen(0):]
			c.stamp = int64(binary.NativeEndian.Uint64(at))*1e9 + int64(binary.NativeEndian.Uint64(at[8:]))
		}
		return n, nil
	}
}

func (c *fdConn) Write(b []byte) (int, error) {
	for all := len(b); ; {
		n, err := syscall.Write(c.fd, b)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return all - len(b), err
		}
		if b = b[max(n, 0):]; len(b) == 0 {
			return all, nil
		}
	}
}

func (c *fdConn) Close() error                     { return syscall.Close(c.fd) }
func (c *fdConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *fdConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *fdConn) SetDeadline(time.Time) error      { return nil }
func (c *fdConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fdConn) SetWriteDeadline(time.Time) error { return nil }

// miner is one connection.
type miner struct {
	fd     *fdConn
	stream io.ReadWriter
	user   string
	prefix []byte // extranonce1
	size   int    // of extranonce2
	job    string
	// header of the job headed, and the next nonce to try in it.
	headed string
	header hashengine.Header
	nonce  uint32
	sent   int64 // Unix nanoseconds, of the share without an answer
	rest   []byte
	begin  time.Duration // of its first share, after the start
}

type state struct {
	plan   Plan
	miners []*miner
	busy   bool
	times  []time.Duration
	heard  map[string][]int64
	target hashengine.Target
	// jobs by id: the same for all miners but for their extranonce1.
	jobs   sync.Map
	report Report
}

// learn keeps a job that nobody has seen yet.
func (c *state) learn(id string, params []byte) error {
	if _, known := c.jobs.Load(id); known {
		return nil
	}
	n, err := stratum.ParseNotify(params)
	if err == nil {
		c.jobs.Store(id, n)
	}
	return err
}

// find is the next nonce of a miner that meets the target.
func (c *state) find(m *miner) (n *stratum.Notify, nonce uint32) {
	known, _ := c.jobs.Load(m.job)
	n = known.(*stratum.Notify)
	if m.headed != m.job {
		m.headed, m.nonce = m.job, 0
		coinbase := slices.Concat(n.Coinbase1, m.prefix, make([]byte, m.size), n.Coinbase2)
		root := hashengine.DoubleSHA256(coinbase)
		for _, b := range n.Branches {
			root = hashengine.DoubleSHA256(slices.Concat(root[:], b[:]))
		}
		m.header.SetVersion(n.Version)
		m.header.SetPrevHash(n.PrevHash)
		m.header.SetMerkleRoot(root)
		m.header.SetTime(n.NTime)
		m.header.SetBits(n.Bits)
	}
	for ; ; m.nonce++ {
		m.header.SetNonce(m.nonce)
		if hash := m.header.Hash(); c.target.Met(&hash) {
			m.nonce++
			return n, m.nonce - 1
		}
	}
}

// mine connects, says "ready", mines until its input ends and reports.
func mine(text string, in io.Reader, out io.Writer) error {
	c := &state{heard: make(map[string][]int64)}
	if err := json.Unmarshal([]byte(text), &c.plan); err != nil {
		return err
	}
	target, err := hashengine.TargetFromDifficultyText(c.plan.Difficulty)
	if err != nil {
		return err
	}
	c.target, c.miners = target, make([]*miner, c.plan.Miners)
	var wg sync.WaitGroup
	var next atomic.Int64
	const atOnce = 32
	errs := make([]error, atOnce)
	for worker := range atOnce {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(c.miners) && errs[worker] == nil; i = int(next.Add(1)) - 1 {
				c.miners[i], errs[worker] = c.connect(i)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Fprintln(out, "ready")
	var phase atomic.Int32
	go func() {
		lines := bufio.NewReader(in)
		_, _ = lines.ReadString('\n')
		phase.Store(1)
		_, _ = io.Copy(io.Discard, lines)
		phase.Store(2)
	}()
	if err := c.loop(&phase); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(c.report)
}

// connect opens a connection up to its first job.
func (c *state) connect(i int) (*miner, error) {
	host, port, err := net.SplitHostPort(c.plan.Address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	to := &syscall.SockaddrInet4{Port: number, Addr: [4]byte(net.ParseIP(host).To4())}
	for _, err := range []error{
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soTimestampNS, 1), syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, byte(1 + i/2000), 2}}), syscall.Connect(fd, to),
	} {
		if err != nil {
			return nil, err
		}
	}
	m := &miner{fd: &fdConn{fd: fd}, user: "a.r" + strconv.Itoa(i), begin: rand.N(max(c.plan.Every, 1))}
	m.stream = m.fd
	if c.plan.TLS {
		m.stream = tls.Client(m.fd, &tls.Config{InsecureSkipVerify: true})
	}
	if _, err := m.stream.Write(stratum.Authorize{User: m.user}.Append(stratum.Subscribe{UserAgent: "crowd"}.Append(nil, 1), 2)); err != nil {
		return nil, err
	}
	r := stratum.NewReader(m.stream, 0)
	var x stratum.Message
	for m.job == "" {
		if err := r.Next(&x); err != nil {
			return nil, fmt.Errorf("no job: %w", err)
		}
		switch {
		case string(x.ID) == "1":
			s, err := stratum.ParseSubscribeResult(x.Result)
			if err != nil {
				return nil, err
			}
			m.prefix, m.size = s.Extranonce1, s.Extranonce2Bytes
		case x.Method == stratum.MethodNotify:
			n, err := stratum.ParseNotify(x.Params)
			if err != nil {
				return nil, err
			}
			m.job = n.JobID
			if err := c.learn(m.job, x.Params); err != nil {
				return nil, err
			}
		}
	}
	return m, syscall.SetNonblock(fd, true)
}

// loop is that of the only thread that works.
func (c *state) loop(phase *atomic.Int32) error {
	runtime.LockOSThread()
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(poll) }()
	for i, m := range c.miners {
		if err := syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, m.fd.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}); err != nil {
			return err
		}
	}
	turn := slices.Clone(c.miners)
	slices.SortFunc(turn, func(a, b *miner) int { return int(a.begin - b.begin) })
	start, round, at := time.Now(), time.Duration(0), 0
	cpu := ProcessTime()
	events := make([]syscall.EpollEvent, 256)
	buffer, zeros := make([]byte, 64<<10), make([]byte, stratum.MaxExtranonce2)
	var line []byte
	for {
		switch phase.Load() {
		case 1:
			if !c.busy {
				c.busy = true
				c.report.Quiet, c.times = Quantiles(c.times), nil
				c.report.QuietCPU = ProcessTime() - cpu
			}
		case 2:
			c.report.Busy = Quantiles(c.times)
			c.report.Arrivals = make(map[string]Arrival)
			for job, times := range c.heard {
				slices.Sort(times)
				n := len(times)
				c.report.Arrivals[job] = Arrival{N: n, P99: time.Unix(0, times[n*99/100]), Last: time.Unix(0, times[n-1])}
			}
			return nil
		}
		wait := 10 * time.Millisecond
		for c.plan.Every > 0 {
			m := turn[at]
			if wait = time.Until(start.Add(round + m.begin)); wait > 0 {
				break
			}
			n, nonce := c.find(m)
			line = stratum.AppendSubmit(line[:0], 3, m.user, m.job, zeros[:m.size], n.NTime, nonce, false, 0)
			m.sent = time.Now().UnixNano()
			if _, err := m.stream.Write(line); err != nil {
				return err
			}
			if at++; at == len(turn) {
				at, round = 0, round+c.plan.Every
			}
		}
		n, err := syscall.EpollWait(poll, events, int(min(wait+time.Millisecond, 10*time.Millisecond)/time.Millisecond))
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if err := c.read(c.miners[e.Fd], buffer); err != nil {
				return err
			}
		}
	}
}

// read takes what has arrived for a miner.
func (c *state) read(m *miner, buffer []byte) error {
	for {
		n, err := m.stream.Read(buffer)
		if errors.Is(err, errAgain{}) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.user, err)
		}
		in := buffer[:n]
		for {
			end := bytes.IndexByte(in, '\n')
			if end < 0 {
				break
			}
			if len(m.rest) > 0 {
				m.rest = append(m.rest, in[:end]...)
				err = c.line(m, m.rest)
				m.rest = m.rest[:0]
			} else {
				err = c.line(m, in[:end])
			}
			if err != nil {
				return err
			}
			in = in[end+1:]
		}
		m.rest = append(m.rest, in...)
		if n < len(buffer) && !c.plan.TLS {
			return nil // epoll tells when there is more
		}
	}
}

// The crowd knows the server's own writing and looks no further than it must.
var (
	answerMark = []byte(`{"id":3,`)
	takenMark  = []byte(`"result":true`)
	jobMark    = []byte(`"mining.notify","params":["`)
)

func (c *state) line(m *miner, line []byte) error {
	if bytes.HasPrefix(line, answerMark) {
		if bytes.Contains(line, takenMark) {
			c.report.Taken++
		} else {
			c.report.Refused++
		}
		c.times = append(c.times, time.Duration(m.fd.stamp-m.sent))
		return nil
	}
	if _, rest, ok := bytes.Cut(line, jobMark); ok {
		id, _, _ := bytes.Cut(rest, []byte(`"`))
		if m.job != string(id) {
			m.job = string(id)
			if _, known := c.jobs.Load(m.job); !known {
				var x stratum.Message
				if err := stratum.ParseMessage(line, &x); err != nil {
					return err
				}
				if err := c.learn(m.job, x.Params); err != nil {
					return err
				}
			}
		}
		c.heard[m.job] = append(c.heard[m.job], m.fd.stamp)
	}
	return nil
}

// ProcessTime is the processor time of this process.
func ProcessTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail for the process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Waited is how long the threads of this process have waited for a processor
// that others had.
func Waited() time.Duration {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0
	}
	sum := time.Duration(0)
	for _, t := range tasks {
		var ran, delay, slices int64
		if text, err := os.ReadFile("/proc/self/task/" + t.Name() + "/schedstat"); err == nil {
			if _, err := fmt.Sscan(string(text), &ran, &delay, &slices); err == nil {
				sum += time.Duration(delay)
			}
		}
	}
	return sum
}
