# What `vfiofs shell` gives to bash: the user's own settings, and then a prompt that says where one is.
[ -r ~/.bashrc ] && . ~/.bashrc
if [ -n "${NO_COLOR:-}" ] || [ "${TERM:-dumb}" = dumb ]; then
  PS1="(vfiofs $VFIOFS_HOST) \w \\$ "
else
  PS1="\[\e[1;36m\](vfiofs $VFIOFS_HOST)\[\e[0m\] \w \\$ "
fi
