//go:build linux

// Command holdlinks makes the kernel of a guest hold its lock for links until
// standard input ends, for the tests of package vm. It prints "held" when it does.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

func main() {
	if err := hold(); err != nil {
		fmt.Fprintln(os.Stderr, "holdlinks:", err)
		os.Exit(1)
	}
}

func hold() error {
	ns, err := netns.Current()
	if err != nil {
		return err
	}
	defer ns.Close()
	release, err := netnstest.Hold(ns)
	if err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	_ = release() // what ethtool says to half a request does not matter
	return err
}
