package etcdtest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// peers are what the members of a cluster reach each other through: the address that
// each is known by is ours, and passes on to the one where it listens.
type peers struct {
	urls   []string // as the others know them
	behind []string // where they listen

	mu    sync.Mutex
	isCut map[int]bool
	conns map[net.Conn][2]int // from, to; from is -1 while it is not known
}

func newPeers(t testing.TB, n int) *peers {
	p := &peers{isCut: map[int]bool{}, conns: map[net.Conn][2]int{}}
	var wg sync.WaitGroup
	var listeners []net.Listener
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
		p.urls = append(p.urls, "http://"+ln.Addr().String())
		p.behind = append(p.behind, freeAddress(t))
	}
	for i, ln := range listeners {
		wg.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { p.pass(c, i) })
			}
		})
	}
	t.Cleanup(func() {
		for i, ln := range listeners {
			ln.Close()
			p.cut(i, true)
		}
		wg.Wait()
	})
	return p
}

// cut ends all connections from and to a member, and takes no new ones.
func (p *peers) cut(i int, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut[i] = cut
	for c, ends := range p.conns {
		if p.isCut[ends[0]] || p.isCut[ends[1]] {
			c.Close()
		}
	}
}

// enter notes a connection; false if there must be none.
func (p *peers) enter(c net.Conn, from, to int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = [2]int{from, to}
	return !p.isCut[from] && !p.isCut[to]
}

func (p *peers) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	c.Close()
}

// pass carries one connection. The header of its first request says who asks.
func (p *peers) pass(c net.Conn, to int) {
	defer p.leave(c)
	if !p.enter(c, -1, to) {
		return
	}
	var head bytes.Buffer
	req, err := http.ReadRequest(bufio.NewReaderSize(io.TeeReader(c, &head), 16))
	if err != nil {
		return
	}
	from := -1
	for i, url := range p.urls {
		if req.Header.Get("X-PeerURLs") == url {
			from = i
		}
	}
	if !p.enter(c, from, to) {
		return
	}
	behind, err := net.Dial("tcp", p.behind[to])
	if err != nil {
		return
	}
	defer p.leave(behind)
	if !p.enter(behind, from, to) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(behind, io.MultiReader(&head, c))
		behind.Close()
	})
	_, _ = io.Copy(c, behind)
	c.Close()
	wg.Wait()
}
