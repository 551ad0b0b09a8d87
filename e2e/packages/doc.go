// Package packages has the tests that build, install, upgrade and purge the Debian
// packages on a machine that systemd runs. All of it is tests.
package packages
