// Package guards has the test that those of moves miss their guards. All of it is
// tests, which run beside those of moves.
package guards
