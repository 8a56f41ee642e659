// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"errors"
	"fmt"
	"strconv"
)

// Bounds of texts of a session, bytes.
const (
	maxAgent    = 256
	maxPassword = 512
	maxSession  = 256
	maxHost     = 255
)

// Subscribe (mining.subscribe) opens a session.
type Subscribe struct {
	// UserAgent of the machine, and Session that it wants to resume; either
	// may be empty.
	UserAgent, Session string
}

// ParseSubscribe reads the params of mining.subscribe. All of them are
// optional, and what is too long or no text is left out.
func ParseSubscribe(params []byte) (Subscribe, error) {
	var room [2][]byte
	p, _, err := elements(params, room[:0])
	if err != nil {
		return Subscribe{}, paramError(MethodSubscribe, err)
	}
	var s Subscribe
	if len(p) > 0 {
		s.UserAgent, _ = boundedText(p[0], "user agent", maxAgent)
	}
	if len(p) > 1 {
		s.Session, _ = boundedText(p[1], "session", maxSession)
	}
	return s, nil
}

// Append writes the request as a line.
func (s Subscribe) Append(b []byte, id uint64) []byte {
	b = appendRequest(b, id, MethodSubscribe)
	b = appendString(b, s.UserAgent)
	if s.Session != "" {
		b = append(b, ',')
		b = appendString(b, s.Session)
	}
	return append(b, "]}\n"...)
}

// Extranonce is what makes a session's coinbases its own: the part that the
// pool fixes and the length of the part that the machine chooses.
type Extranonce struct {
	// Extranonce1 fixed by the pool, up to MaxExtranonce1 bytes, may be empty.
	Extranonce1 []byte
	// Extranonce2Bytes for the machine, 1 to MaxExtranonce2.
	Extranonce2Bytes int
}

func parseExtranonce(one, size []byte) (e Extranonce, err error) {
	if e.Extranonce1, err = hexBytes([]byte{}, one, "extranonce1", 0, MaxExtranonce1); err != nil {
		return Extranonce{}, err
	}
	n, ok := integer(size)
	if !ok || n < 1 || n > MaxExtranonce2 {
		return Extranonce{}, fmt.Errorf("extranonce2 size %s: want 1 to %d bytes, or there is nothing to search", clip(size), MaxExtranonce2)
	}
	e.Extranonce2Bytes = int(n)
	return e, nil
}

// SubscribeResult is a pool's answer to mining.subscribe.
type SubscribeResult struct {
	// Session id, for the pool to know the machine again; may be empty.
	Session string
	Extranonce
}

// ParseSubscribeResult reads the result. The list of subscriptions, which
// differs from pool to pool, is looked through for a session id and is no
// reason to fail.
func ParseSubscribeResult(result []byte) (SubscribeResult, error) {
	var room [3][]byte
	p, count, err := elements(result, room[:0])
	if err != nil {
		return SubscribeResult{}, paramError(MethodSubscribe, err)
	}
	if count < 3 {
		return SubscribeResult{}, paramError(MethodSubscribe, fmt.Errorf("%d results; want subscriptions, extranonce1 and extranonce2 size", count))
	}
	x, err := parseExtranonce(p[1], p[2])
	if err != nil {
		return SubscribeResult{}, paramError(MethodSubscribe, err)
	}
	return SubscribeResult{Session: subscriptionID(p[0]), Extranonce: x}, nil
}

// subscriptionID finds the id of the subscription to mining.notify in [[method,
// id], …] or in a single [method, id].
func subscriptionID(raw []byte) string {
	var room [8][]byte
	list, _, err := elements(raw, room[:0])
	if err != nil {
		return ""
	}
	pair := func(list [][]byte) string {
		if len(list) < 2 {
			return ""
		}
		if name, ok := text(list[0]); !ok || string(name) != MethodNotify {
			return ""
		}
		id, _ := boundedText(list[1], "subscription", maxSession)
		return id
	}
	if id := pair(list); id != "" {
		return id
	}
	for _, sub := range list {
		var two [2][]byte
		if inner, _, err := elements(sub, two[:0]); err == nil {
			if id := pair(inner); id != "" {
				return id
			}
		}
	}
	return ""
}

// Append writes the reply as a line.
func (r SubscribeResult) Append(b, id []byte) []byte {
	b = appendReply(b, id)
	b = append(b, `"result":[[["mining.set_difficulty",`...)
	b = appendString(b, r.Session)
	b = append(b, `],["mining.notify",`...)
	b = appendString(b, r.Session)
	b = append(b, `]],"`...)
	b = appendHex(b, r.Extranonce1)
	b = append(b, `",`...)
	b = strconv.AppendInt(b, int64(r.Extranonce2Bytes), 10)
	return append(b, `],"error":null}`+"\n"...)
}

// ParseSetExtranonce reads the params of mining.set_extranonce.
func ParseSetExtranonce(params []byte) (Extranonce, error) {
	var room [2][]byte
	p, count, err := elements(params, room[:0])
	if err == nil && count < 2 {
		err = tooFew(count, 2)
	}
	if err != nil {
		return Extranonce{}, paramError(MethodSetExtranonce, err)
	}
	x, err := parseExtranonce(p[0], p[1])
	if err != nil {
		return Extranonce{}, paramError(MethodSetExtranonce, err)
	}
	return x, nil
}

// Append writes mining.set_extranonce as a line.
func (x Extranonce) Append(b []byte) []byte {
	b = appendNotification(b, MethodSetExtranonce)
	b = append(b, '"')
	b = appendHex(b, x.Extranonce1)
	b = append(b, `",`...)
	b = strconv.AppendInt(b, int64(x.Extranonce2Bytes), 10)
	return append(b, "]}\n"...)
}

// Authorize (mining.authorize) names who mines.
type Authorize struct {
	// User is account.worker, and Password whatever the pool makes of it,
	// such as d=1024.
	User, Password string
}

// ParseAuthorize reads the params of mining.authorize. The password may be
// missing or no text.
func ParseAuthorize(params []byte) (Authorize, error) {
	var room [2][]byte
	p, count, err := elements(params, room[:0])
	if err == nil && count < 1 {
		err = tooFew(count, 2)
	}
	if err != nil {
		return Authorize{}, paramError(MethodAuthorize, err)
	}
	var a Authorize
	if a.User, err = boundedText(p[0], "user", maxWorker); err != nil {
		return Authorize{}, paramError(MethodAuthorize, err)
	}
	if len(p) > 1 {
		a.Password, _ = boundedText(p[1], "password", maxPassword)
	}
	return a, nil
}

// Append writes the request as a line.
func (a Authorize) Append(b []byte, id uint64) []byte {
	b = appendRequest(b, id, MethodAuthorize)
	b = appendString(b, a.User)
	b = append(b, ',')
	b = appendString(b, a.Password)
	return append(b, "]}\n"...)
}

// AppendSuggestDifficulty writes the request as a line; difficulty is plain
// decimal text.
func AppendSuggestDifficulty(b []byte, id uint64, difficulty string) []byte {
	b = appendRequest(b, id, MethodSuggestDifficulty)
	b = append(b, difficulty...)
	return append(b, "]}\n"...)
}

// AppendSetDifficulty writes the notification as a line; difficulty is plain
// decimal text.
func AppendSetDifficulty(b []byte, difficulty string) []byte {
	b = appendNotification(b, MethodSetDifficulty)
	b = append(b, difficulty...)
	return append(b, "]}\n"...)
}

// AppendExtranonceSubscribe writes the request as a line.
func AppendExtranonceSubscribe(b []byte, id uint64) []byte {
	b = appendRequest(b, id, MethodExtranonceSubscribe)
	return append(b, "]}\n"...)
}

// AppendPing writes mining.ping as a line.
func AppendPing(b []byte, id uint64) []byte {
	b = appendRequest(b, id, MethodPing)
	return append(b, "]}\n"...)
}

// Reconnect (client.reconnect) sends a machine elsewhere.
type Reconnect struct {
	// Host and Port to go to, empty and 0 for the same as before.
	Host string
	Port int
	// Wait before that, seconds, 0 to 3600.
	Wait int
}

// ParseReconnect reads the params of client.reconnect. Whether the host may be
// gone to is for the caller.
func ParseReconnect(params []byte) (Reconnect, error) {
	var room [3][]byte
	p, _, err := elements(params, room[:0])
	if err != nil {
		return Reconnect{}, paramError(MethodReconnect, err)
	}
	var r Reconnect
	if len(p) > 0 && !isNull(p[0]) {
		if r.Host, err = boundedText(p[0], "host", maxHost); err != nil {
			return Reconnect{}, paramError(MethodReconnect, err)
		}
	}
	if len(p) > 1 && !isNull(p[1]) {
		n, ok := integer(p[1])
		if !ok || n < 0 || n > 65535 {
			return Reconnect{}, paramError(MethodReconnect, fmt.Errorf("port %s: want 1 to 65535", clip(p[1])))
		}
		r.Port = int(n)
	}
	if len(p) > 2 && !isNull(p[2]) {
		n, ok := integer(p[2])
		if !ok || n < 0 {
			return Reconnect{}, paramError(MethodReconnect, errors.New("the time to wait is not a number of seconds"))
		}
		r.Wait = int(min(n, 3600))
	}
	return r, nil
}

// Append writes the notification as a line, without params when there is no
// host.
func (r Reconnect) Append(b []byte) []byte {
	b = appendNotification(b, MethodReconnect)
	if r.Host != "" {
		b = appendString(b, r.Host)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(r.Port), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, int64(r.Wait), 10)
	}
	return append(b, "]}\n"...)
}

// ParseShowMessage reads the params of client.show_message, clipped.
func ParseShowMessage(params []byte) string {
	var room [1][]byte
	p, count, err := elements(params, room[:0])
	if err != nil || count < 1 {
		return ""
	}
	t, ok := text(p[0])
	if !ok {
		t = p[0]
	}
	return clipText(t)
}

// AppendShowMessage writes the notification as a line.
func AppendShowMessage(b []byte, words string) []byte {
	b = appendNotification(b, MethodShowMessage)
	b = appendString(b, words)
	return append(b, "]}\n"...)
}

// Quote is s as a JSON text, for AppendResult.
func Quote(s string) string { return string(appendString(nil, s)) }
