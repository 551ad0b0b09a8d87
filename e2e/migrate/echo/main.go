// Command echo answers each UDP datagram with the same and a word of its own, which
// is another after every start. The tests of package migrate run it in containers.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	failed := make(chan error, 1)
	go func() { failed <- serve() }()
	select {
	case <-end:
	case err := <-failed:
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func serve() error {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: 7007})
	if err != nil {
		return err
	}
	var word [4]byte
	if _, err := rand.Read(word[:]); err != nil {
		return err
	}
	own := hex.EncodeToString(word[:])
	packet := make([]byte, 512)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(packet)
		if err != nil {
			return err
		}
		// Nobody may be there to hear it.
		_, _ = conn.WriteToUDPAddrPort(append(packet[:n:n], own...), from)
	}
}
