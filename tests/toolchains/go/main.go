// A command of Go's standard library alone. Its paths are absolute: Go begins in the first directory that is open.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

func attempt(name string, err error) {
	if err != nil {
		fmt.Printf("%s: refused (%v)\n", name, err)
	} else {
		fmt.Printf("%s: done\n", name)
	}
}

func read(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func files() error {
	text, err := os.ReadFile("/data/in.txt")
	if err != nil {
		return err
	}
	fmt.Printf("read: %s\n", bytes.TrimSpace(text))
	entries, err := os.ReadDir("/data")
	if err != nil {
		return err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	fmt.Printf("listed: %s\n", strings.Join(names, " "))
	if err := os.MkdirAll("/out/deep", 0o777); err != nil {
		return err
	}
	if err := os.WriteFile("/out/deep/draft.txt", bytes.ToUpper(text), 0o666); err != nil {
		return err
	}
	file, err := os.OpenFile("/out/deep/draft.txt", os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := file.WriteString("more\n"); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename("/out/deep/draft.txt", "/out/result.txt"); err != nil {
		return err
	}
	if err := os.Remove("/out/deep"); err != nil {
		return err
	}
	found, err := os.Stat("/out/result.txt")
	if err != nil {
		return err
	}
	fmt.Printf("size: %d\n", found.Size())
	return nil
}

func main() {
	arguments := os.Args[1:]
	fmt.Printf("arguments: %s\n", strings.Join(arguments, "|"))
	variable, found := os.LookupEnv("GREETING")
	if !found {
		variable = "none"
	}
	fmt.Printf("variable: %s\n", variable)
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Printf("stdin: %v\n", err)
	} else {
		fmt.Printf("stdin: %d\n", len(input))
	}

	if err := files(); err != nil {
		fmt.Printf("files: %v\n", err)
	}
	attempt("up", read("/data/../../secret.txt"))
	attempt("absolute", read("/etc/passwd"))
	attempt("link", read("/data/link.txt"))
	attempt("read-only", os.WriteFile("/data/in.txt", []byte("gone"), 0o666))
	attempt("remove", os.Remove("/data/in.txt"))

	random := make([]byte, 8)
	rand.Read(random)
	fmt.Printf("random: %s\n", hex.EncodeToString(random))
	began := time.Now()
	time.Sleep(20 * time.Millisecond)
	fmt.Printf("slept: %v\n", time.Since(began) >= 20*time.Millisecond)
	fmt.Printf("time: %d\n", time.Now().Unix())

	_, err = net.DialTimeout("tcp", "127.0.0.1:9", time.Second)
	attempt("tcp", err)
	fmt.Fprintln(os.Stderr, "bye")
	if slices.Contains(arguments, "fail") {
		os.Exit(1)
	}
}
