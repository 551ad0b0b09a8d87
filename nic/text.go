package nic

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"reflect"
	"strconv"
	"time"
)

// A text is JSON that is being written, as encoding/json writes it.
type text struct {
	b   []byte
	odd bool // json is to be asked, which says what is wrong
}

func (t *text) open()  { t.b = append(t.b, '{') }
func (t *text) close() { t.b = append(t.b, '}') }

// key begins an object's next field. Its name is one that needs no escapes.
func (t *text) key(name string) {
	if t.b[len(t.b)-1] != '{' {
		t.b = append(t.b, ',')
	}
	t.b = append(t.b, '"')
	t.b = append(t.b, name...)
	t.b = append(t.b, '"', ':')
}

// quote writes a string. What json would escape is left to json.
func (t *text) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			t.json(s)
			return
		}
	}
	t.b = append(t.b, '"')
	t.b = append(t.b, s...)
	t.b = append(t.b, '"')
}

// json has json write what is seldom there.
func (t *text) json(v any) {
	text, err := json.Marshal(v)
	t.b, t.odd = append(t.b, text...), t.odd || err != nil
}

// some writes what is seldom there, if it is said to be.
func some[T any](t *text, name string, there bool, v *T) {
	if there {
		t.key(name)
		t.json(*v)
	}
}

func (t *text) str(name, s string) {
	t.key(name)
	t.quote(s)
}

func (t *text) someStr(name, s string) {
	if s != "" {
		t.str(name, s)
	}
}

func (t *text) integer(name string, n int) {
	t.key(name)
	t.b = strconv.AppendInt(t.b, int64(n), 10)
}

func (t *text) someInt(name string, n int) {
	if n != 0 {
		t.integer(name, n)
	}
}

func (t *text) number(name string, n uint64) {
	t.key(name)
	t.b = strconv.AppendUint(t.b, n, 10)
}

func (t *text) boolean(name string, is bool) {
	t.key(name)
	t.b = strconv.AppendBool(t.b, is)
}

func (t *text) ifTrue(name string, is bool) {
	if is {
		t.boolean(name, is)
	}
}

func (t *text) someMAC(name string, mac MAC) {
	if mac.IsZero() {
		return
	}
	t.key(name)
	t.b = append(t.b, '"')
	for i := range mac {
		if i > 0 {
			t.b = append(t.b, ':')
		}
		t.b = hex.AppendEncode(t.b, mac[i:i+1])
	}
	t.b = append(t.b, '"')
}

func (t *text) time(name string, at time.Time) {
	t.key(name)
	t.b = append(t.b, '"')
	text, err := at.AppendText(t.b)
	t.b, t.odd = append(text, '"'), t.odd || err != nil
}

func (t *text) addr(a netip.Addr) {
	t.b = append(t.b, '"')
	text, err := a.AppendText(t.b)
	t.b, t.odd = append(text, '"'), t.odd || err != nil || a.Zone() != "" // which may be of any characters
}

func (t *text) prefix(p netip.Prefix) {
	t.b = append(t.b, '"')
	text, err := p.AppendText(t.b)
	t.b, t.odd = append(text, '"'), t.odd || err != nil
}

func (t *text) addrs(name string, all []netip.Addr)      { list(t, name, all, (*text).addr) }
func (t *text) prefixes(name string, all []netip.Prefix) { list(t, name, all, (*text).prefix) }

// list writes what there is of a kind, if there is any.
func list[T any](t *text, name string, all []T, write func(*text, T)) {
	if len(all) == 0 {
		return
	}
	t.key(name)
	t.b = append(t.b, '[')
	for i, v := range all {
		if i > 0 {
			t.b = append(t.b, ',')
		}
		write(t, v)
	}
	t.b = append(t.b, ']')
}

func isZero[T any](v *T) bool { return reflect.ValueOf(v).Elem().IsZero() }
