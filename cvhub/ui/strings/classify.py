"""What the Classify tab says, and what other tabs say as it does, in English and Chinese."""

CLASSIFY: dict[str, tuple[str, str]] = {
    # the picture
    "picture": ("Picture", "图片"),
    "picture_alt": ("The picture that the models look at", "模型所看的图片"),
    "picture_placeholder": (
        "Drop a picture here, paste one, or click to choose a file",
        "把图片拖到这里、粘贴，或点击选择文件",
    ),
    "samples": ("Samples", "示例"),
    "sample_chelsea": ("Cat", "猫"),
    "sample_coffee": ("Coffee", "咖啡"),
    "sample_rocket": ("Rocket", "火箭"),
    "sample_astronaut": ("Astronaut", "宇航员"),
    "sample_tile": ("Satellite tile", "卫星图块"),
    # the choices
    "models": ("Models (1 to 9)", "模型（1 到 9 个）"),
    "temperature": ("Temperature τ", "温度 τ"),
    "temperature_info": (
        "Probabilities are softmax(z / τ) of the kept logits z; no new forward pass.",
        "概率为已保存的 logits z 的 softmax(z / τ)，不重新前向计算。",
    ),
    "opacity": ("Heat map opacity, %", "热图不透明度，%"),
    "heat_class": ("Heat map for the class", "热图对应的类别"),
    "heat_class_info": ("Or click a bar. Type to search.", "也可点击条形；输入可搜索。"),
    "heat_class_own": ("each model's top class", "各模型的首选类别"),
    "true_class": ("True class, for the loss", "真实类别（用于损失）"),
    "true_class_info": ("Type to search.", "输入可搜索。"),
    "true_class_mean": ("top class of the models' mean", "各模型平均后的首选类别"),
    "advanced": ("Advanced: runtime, precision, label smoothing", "高级：运行时、精度、标签平滑"),
    "runtime": ("Runtime", "运行时"),
    "runtime_info": (
        "auto takes the fastest that is correct here and says why.",
        "auto 选取此处正确且最快的一个，并说明理由。",
    ),
    "precision": ("Precision", "精度"),
    "epsilon": ("Label smoothing ε", "标签平滑 ε"),
    # any checkpoint
    "checkpoint": ("Add a checkpoint", "添加检查点"),
    "hub_id": ("Hub id", "Hub 编号"),
    "hub_id_info": (
        "A classifier of one of the families here, in timm, transformers or cvhub layout, such as timm/resnet50.a1_in1k.",
        "timm、transformers 或 cvhub 格式的本站各家族分类器，例如 timm/resnet50.a1_in1k。",
    ),
    "checkpoint_files": ("or a .safetensors file with its config.json", "或 .safetensors 文件及其 config.json"),
    "add": ("Add", "添加"),
    "checkpoint_added": ("{name} joins the models of this visit.", "{name} 已加入本次访问的模型。"),
    "checkpoint_both": (
        "Give a Hub id, or one .safetensors file and one config.json.",
        "请给出 Hub 编号，或一个 .safetensors 文件和一个 config.json。",
    ),
    "checkpoint_full": (
        "{name} joins the list; nine models are chosen already, so remove one to see it.",
        "{name} 已加入列表；已选满九个模型，移除一个即可显示。",
    ),
    "unknown_model": (
        "“{name}” is neither a model of the list nor a Hub id like owner/name.",
        "“{name}” 既不在列表中，也不是 owner/name 形式的 Hub 编号。",
    ),
    # your own classes
    "own_classes": ("Your own classes", "你自己的类别"),
    "own_classes_how": (
        "5 to 20 pictures of each class teach a trained net new names: its features stay as they are, and logistic regression tells the classes apart.",
        "每个类别 5 到 20 张图片，即可让训练好的网络学会新的名称：特征保持不变，由逻辑回归区分类别。",
    ),
    "own_base": ("Features of", "特征来自"),
    "own_base_info": ("A model of the list.", "列表中的模型。"),
    "own_name": ("Class {n}", "类别 {n}"),
    "own_pictures": ("Pictures of class {n}", "类别 {n} 的图片"),
    "own_more": ("Another class", "再加一个类别"),
    "own_learn": ("Learn", "学习"),
    "own_mistaken": ("Named wrongly when left out", "留出时判断错误的图片"),
    "own_mistake": ("{true}, taken for {said}", "{true}，被当作 {said}"),
    "own_download": ("Download the model", "下载模型"),
    "own_learned": (
        "Leave-one-out: {right} of {n} pictures are named rightly ({percent}) by what was learned from all others.",
        "留一法：{n} 张图片中有 {right} 张（{percent}）由其余图片学得的分类器判断正确。",
    ),
    "own_half": (
        "Class {n} has a name without pictures, or pictures without a name.",
        "类别 {n} 只有名称没有图片，或只有图片没有名称。",
    ),
    "own_twice": ("Two classes are called “{name}”.", "有两个类别都叫 “{name}”。"),
    "own_count": (
        "“{name}” has {n} pictures; a class takes 2 to {limit}.",
        "“{name}” 有 {n} 张图片；每个类别需要 2 到 {limit} 张。",
    ),
    "own_too_few": ("{n} classes are given; it takes at least two.", "给出了 {n} 个类别；至少需要两个。"),
    # states
    "no_picture": (
        "No picture yet. Upload, paste or take one, or choose a sample.",
        "还没有图片。请上传、粘贴或拍摄一张，或选择示例。",
    ),
    "no_models": ("No model chosen. Choose one to nine.", "还没有选择模型。请选择一到九个。"),
    "too_many_models": (
        "{n} models were asked for; at most {limit} answer at once.",
        "请求了 {n} 个模型；一次最多 {limit} 个。",
    ),
    "waiting": ("Asking {n} models.", "正在询问 {n} 个模型。"),
    "waiting_one": ("Asking one model.", "正在询问一个模型。"),
    "loading": (
        "Loading. The first use fetches, converts and compiles the weights, which takes some seconds.",
        "加载中。首次使用需获取、转换并编译权重，约需数秒。",
    ),
    "failed_all": ("No model could answer.", "没有模型能够回答。"),
    "unexpected": (
        "This failed unexpectedly ({kind}); the server's log has the details.",
        "意外失败（{kind}），详情见服务器日志。",
    ),
    "unexpected_view": (
        "The answers could not be shown ({kind}); the server's log has the details. Choose again to ask again.",
        "无法显示结果（{kind}），详情见服务器日志。重新选择即可再次询问。",
    ),
    # the agreement between the models
    "numerals": ("zero one two three four five six seven eight nine", "零 一 两 三 四 五 六 七 八 九"),
    "one_says": ("{title} says {label}, {percent}.", "{title} 认为是 {label}，{percent}。"),
    "all_say": ("All {n} say {label}.", "{n}个模型都认为是 {label}。"),
    "both_say": ("Both say {label}.", "两个模型都认为是 {label}。"),
    "no_two_agree": ("No two of the {n} models agree: ", "{n}个模型各不相同："),
    "two_disagree": ("The two models disagree: ", "两个模型意见不同："),
    "group_says": ("{k} of {n} say {label}", "{n}个中有{k}个认为是 {label}"),
    "title_says": ("{title} says {label}", "{title} 认为是 {label}"),
    "joint": ("; ", "；"),
    "stop": (".", "。"),
    "surest": (
        "{surest} is the surest ({percent}) and costs {ratio} times the multiply-adds of {cheapest}.",
        "{surest} 最有把握（{percent}），乘加次数是 {cheapest} 的 {ratio} 倍。",
    ),
    "surest_cheapest": (
        "{surest} is the surest ({percent}) and the cheapest in multiply-adds.",
        "{surest} 最有把握（{percent}），乘加次数也最少。",
    ),
    "surest_only": ("{surest} is the surest ({percent}).", "{surest} 最有把握（{percent}）。"),
    # one model's card
    "parameters": ("{n} parameters", "{n} 参数"),
    "multiply_adds": ("{n} multiply-adds", "{n} 次乘加"),
    "memory": ("{n} of memory", "{n} 内存"),
    "took": ("{reason}", "运行时 {runtime}，精度 {precision}：{reason}"),
    # what a runtime says of itself, piece by piece; what is missing here (a library's own words) stays as it is
    "bar_label": ("{label}, {percent}. Show its heat map.", "{label}，{percent}。显示其热图。"),
    "bars_of": ("The five likeliest classes of {title}", "{title} 的前五个类别"),
    "heat_alt": (
        "Where {title} sees {label}, as a heat map over the picture. The frame is the part the model is shown.",
        "{title} 看到 {label} 的位置，以热图叠加在图片上。方框为模型所见部分。",
    ),
    "heat_of": ("{method} for {label}", "{label} 的{method}"),
    "heat_exact": ("Class activation map", "类激活图"),
    "heat_grad": ("Grad-CAM", "Grad-CAM 热图"),
    "note_bars": (
        "Bars run from 0 to 100 %. The frame is the part of the picture that the model is shown.",
        "条形从 0 到 100 %。方框为模型所见的图片部分。",
    ),
    "note_exact": (
        "Class activation map: {formula}, the last feature maps f weighted by the class's weights w; exact (Zhou et al. 2016).",
        "类激活图：{formula}，即最后的特征图 f 按该类别的权重 w 加权；精确（Zhou 等，2016）。",
    ),
    "note_grad": (
        "Grad-CAM: {formula}, where α is the mean gradient of the class's logit (Selvaraju et al. 2017).",
        "Grad-CAM：{formula}，其中 α 为该类别 logit 的平均梯度（Selvaraju 等，2017）。",
    ),
    "no_heat": ("“{label}” is not among this model's classes.", "“{label}” 不在该模型的类别中。"),
    # the loss readout
    "loss_title": ("Loss if “{label}” is true", "若真实类别为 “{label}” 时的损失"),
    "loss_mean_note": (
        "the top class of the models' mean; choose the true one on the left",
        "各模型平均后的首选类别；可在左侧选择真实类别",
    ),
    "loss_caption": ("Loss of each model, in nats", "各模型的损失，单位 nat"),
    "loss_model": ("model", "模型"),
    "loss_p": ("probability of the true class", "真实类别的概率"),
    "loss_ce": ("cross entropy", "交叉熵"),
    "loss_smooth": ("with label smoothing, ε = {epsilon}", "标签平滑，ε = {epsilon}"),
    "loss_kl": ("KL to the models' mean m", "与各模型平均 m 的 KL 散度"),
    "loss_missing": ("not among its classes", "不在其类别中"),
    "loss_kl_alone": ("needs two models with equal classes", "需要两个类别相同的模型"),
    "loss_note": (
        "Natural logarithms, so losses are in nats; z are the logits, τ = {temperature}, K classes, m the mean of the models' p.",
        "使用自然对数，损失单位为 nat；z 为 logits，τ = {temperature}，K 为类别数，m 为各模型 p 的平均。",
    ),
    # accuracy beside cost
    "tested": ("{percent} of {n} test pictures right", "{n} 张测试图片答对 {percent}"),
    "accuracy_title": ("Accuracy against cost", "准确率与代价"),
    "accuracy_note": (
        "Top-1 accuracy on the {n} test pictures of {dataset}, measured by cvhub evaluate, with 95 % intervals: where two overlap, the pictures don't tell which net is better. Latency is that of this very answer; training time is the processors' time, over all cores.",
        "在 {dataset} 的 {n} 张测试图片上由 cvhub evaluate 测得的 top-1 准确率及其 95 % 区间：区间重叠时，这些图片无法判断哪个网络更好。延迟即本次回答的延迟；训练时间为所有核心的处理器时间之和。",
    ),
    "accuracy_alt": ("Accuracy of {n} models against: {cost}", "{n} 个模型的准确率，横轴为：{cost}"),
    "accuracy_axis": ("accuracy, %", "准确率，%"),
    "accuracy_parameters": ("parameters, millions", "参数，百万"),
    "accuracy_multiply_adds": ("multiply-adds, millions", "乘加次数，百万"),
    "accuracy_milliseconds": ("latency, ms", "延迟，毫秒"),
    "accuracy_minutes": ("training, processor minutes", "训练，处理器分钟"),
    # results out
    "save_csv": ("Save CSV", "保存 CSV"),
    "save_json": ("Save JSON", "保存 JSON"),
    "copy_link": ("Copy link", "复制链接"),
    "link_copied": ("The link to this view is copied.", "已复制此视图的链接。"),
    "link_copied_upload": (
        "The link to this view is copied; it holds every choice but your own picture.",
        "已复制此视图的链接；除你自己的图片外，所有选择都在其中。",
    ),
    "link_denied": (
        "The browser refused the clipboard; the link is in the address bar.",
        "浏览器拒绝访问剪贴板；链接在地址栏中。",
    ),
}
