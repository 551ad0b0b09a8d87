// Package manual writes the man pages of a program from its commands.
package manual
