# Shared by the tests that run examples of the documentation where they need more than run_examples has: source it.
# shellcheck shell=bash

# The text of the blocks of a page that are marked so, one after the other, or of that one of them alone:
# blocks_marked PAGE MARK [NUMBER]
blocks_marked() {
  local text
  text=$(awk -v fence="\`\`\`$2" -v only="${3:-0}" '
    /^```/ { inside = !fenced && $0 == fence && (++number == only || only == 0); fenced = !fenced; next }
    inside' "$1")
  [[ -n $text ]] || { echo "$1 has no block ${3:-} that is marked $2" >&2; return 1; }
  printf '%s\n' "$text"
}

# A clone of these sources, as somebody has it who just got them, in which building takes what was built already:
# make_clone SOURCE_DIRECTORY BUILD_DIRECTORY CLONE. Its commands, CLONE/bin before others in PATH, stand in for those that
# would build or run the suite anew, which is what runs already, or would install packages:
#   cmake    of a preset: it is one. Of a target: it is one. All else is done.
#   ctest    on a suite of one test
#   apt-get  refuses: what script/bootstrap asks for is there, or there is nothing to test
make_clone() {
  local source=$1 build=$2 clone=$3 preset name
  mkdir -p "$clone"
  tar -C "$source" --exclude=./build --exclude=./.git --exclude=__pycache__ -cf - . | tar -C "$clone" -xf -
  for preset in dev release asan fuzz; do
    mkdir -p "$clone/build/$preset"
    for name in client daemon tests package CPackConfig.cmake cmake_install.cmake; do
      ln -s "$build/$name" "$clone/build/$preset/$name"
    done
    printf '%s\n' 'add_test([=[The.Suite]=] "true")' 'set_tests_properties([=[The.Suite]=] PROPERTIES LABELS lint)' \
      >"$clone/build/$preset/CTestTestfile.cmake"
  done
  mkdir "$clone/bin"
  cat >"$clone/bin/cmake" <<CMAKE
#!/bin/bash
set -eu
case \$1 in
  --preset) $(command -v cmake) --list-presets | grep -q "\"\$2\"" ;;
  --build)
    [[ \$2 == --preset && -d build/\$3 ]]
    for target in "\${@:5}"; do ninja -C "$build" -t query "\$target" >/dev/null; done ;;
  *) exec $(command -v cmake) "\$@" ;;
esac
CMAKE
  printf '#!/bin/sh\necho "skipped: not all packages of script/bootstrap are installed"\nexit 77\n' >"$clone/bin/apt-get"
  chmod 755 "$clone/bin/"*
}
