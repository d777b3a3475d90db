//go:build !linux

package memory

func unload(int) {}
